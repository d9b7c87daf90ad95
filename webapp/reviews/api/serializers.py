"""Serializers of reviews."""

from typing import Any

from rest_framework import serializers

from webapp.http.serializers import TypedSerializer
from webapp.reviews.models import EarlierReview, Review
from webapp.studies.choices import ReviewStage, Verdict


class EarlierReviewSerializer(serializers.ModelSerializer):
    """A reader's earlier verdict."""

    class Meta:
        model = EarlierReview
        fields = ("verdict", "kind", "comment", "given_at")
        read_only_fields = fields


class ReviewSerializer(TypedSerializer, serializers.ModelSerializer):
    reviewer = serializers.CharField(source="reviewer.username", read_only=True, default="")
    earlier = EarlierReviewSerializer(many=True, read_only=True, help_text="what they said before, the oldest first")
    seen = serializers.ChoiceField(
        choices=ReviewStage.choices,
        required=False,
        write_only=True,
        help_text="the `review_stage` that you saw: a verdict that is needed no more is then refused",
    )

    class Meta:
        model = Review
        fields = ("verdict", "kind", "comment", "reviewer", "decides", "earlier", "created_at", "updated_at", "seen")
        read_only_fields = ("decides", "created_at", "updated_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("kind") and attrs["verdict"] != Verdict.PNEUMONIA:
            raise serializers.ValidationError({"kind": ["Only a pneumonia has a kind."]})
        return attrs

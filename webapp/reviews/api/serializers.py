"""Reviews as JSON."""

from rest_framework import serializers

from webapp.http.serializers import TypedSerializer
from webapp.reviews.models import Review


class ReviewSerializer(TypedSerializer, serializers.ModelSerializer):
    reviewer = serializers.CharField(source="reviewer.username", read_only=True, default="")

    class Meta:
        model = Review
        fields = ("verdict", "comment", "reviewer", "created_at", "updated_at")
        read_only_fields = ("created_at", "updated_at")

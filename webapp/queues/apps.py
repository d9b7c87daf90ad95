from django.apps import AppConfig


class QueuesConfig(AppConfig):
    name = "webapp.queues"

    def ready(self) -> None:
        from webapp.ops import beat
        from webapp.queues import sampling
        from webapp.retention import services as retention

        beat.RUN_HERE["sample"] = sampling.sample
        retention.STEPS.append(sampling.forget)

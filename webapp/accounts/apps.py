from django.apps import AppConfig, apps


class AccountsConfig(AppConfig):
    name = "webapp.accounts"

    def ready(self) -> None:
        if not apps.is_installed("allauth.account"):
            return  # workers have no sign-in
        from allauth.account.signals import password_reset
        from allauth.mfa.signals import authentication_failed

        from webapp.accounts import lockout, recording

        authentication_failed.connect(lockout.count_wrong_code)
        password_reset.connect(lockout.forget)
        recording.connect()

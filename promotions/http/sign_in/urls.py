"""Addresses of the sign-in pages, below `/admin/`. They come before admin's own."""

from django.urls import path

from promotions.http.sign_in import account, passkeys, views

urlpatterns = [
    path("login/", views.sign_in),
    path("password_change/", account.change_password),
    path("sign-in/", views.sign_in_factor, name="sign-in-factor"),
    path("sign-in/passkey/begin/", passkeys.begin_passkey_sign_in, name="passkey-sign-in-begin"),
    path("sign-in/passkey/", passkeys.complete_passkey_sign_in, name="passkey-sign-in"),
    path("account/", account.account, name="account"),
    path("account/factors/add/", account.add_factor, name="account-add-factor"),
    path("account/factors/<int:factor_id>/remove/", account.remove_factor, name="account-remove-factor"),
    path("account/passkeys/begin/", passkeys.begin_passkey_registration, name="passkey-registration-begin"),
    path("account/passkeys/", passkeys.complete_passkey_registration, name="passkey-registration"),
    path("account/recovery-codes/", account.recovery_codes, name="account-recovery-codes"),
    path("account/sessions/end/", account.end_sessions, name="account-end-sessions"),
]

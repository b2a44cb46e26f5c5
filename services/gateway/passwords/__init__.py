"""People with passwords: for installations without a provider of OpenID Connect."""

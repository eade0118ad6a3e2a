"""What may be written, by rules that users bring along: admission policies in CEL, and webhooks.

Source: k8s.io/apiserver/pkg/admission/plugin (policy/validating, policy/matching, webhook).
"""

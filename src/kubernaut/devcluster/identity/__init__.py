"""Who calls, and what they may do: certificates, tokens, RBAC, reviews."""

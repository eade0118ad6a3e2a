"""Small controllers of the API server's own: garbage, namespaces, definitions, service accounts."""

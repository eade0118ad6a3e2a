"""A request as policies and webhooks see it (admission.k8s.io/v1 AdmissionRequest)."""

from __future__ import annotations

from kubernaut.devcluster.identity.reviews import user_info
from kubernaut.devcluster.metadata import new_uid
from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.writing import Attributes


def admission_request(attributes: Attributes) -> Object:
    """Without `object` and `oldObject`."""
    resource = attributes.resource
    group, version, name = attributes.kind or (resource.group, resource.version, resource.kind)
    kind = {"group": group, "version": version, "kind": name}
    place = {"group": resource.group, "version": resource.version, "resource": resource.plural}
    request: Object = {
        "uid": new_uid(),
        "kind": kind,
        "resource": place,
        "requestKind": kind,
        "requestResource": place,
        "name": attributes.name,
        "operation": attributes.operation,
        "userInfo": user_info(attributes.write.user),
        "dryRun": attributes.write.dry_run,
        "options": _options(attributes),
    }
    if attributes.namespace:
        request["namespace"] = attributes.namespace
    if attributes.subresource:
        request["subResource"] = request["requestSubResource"] = attributes.subresource
    return request


def _options(attributes: Attributes) -> Object:
    kind = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}
    options: Object = {"kind": kind.get(attributes.operation, ""), "apiVersion": "meta.k8s.io/v1"}
    if attributes.write.dry_run:
        options["dryRun"] = ["All"]
    if attributes.operation != "DELETE":
        options["fieldManager"] = attributes.write.manager
    options |= {name: value for name, value in (attributes.options or {}).items() if value is not None}
    return options

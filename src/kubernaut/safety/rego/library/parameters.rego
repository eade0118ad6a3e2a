# METADATA
# title: Parameters are complete
# description: A rule whose parameter is missing would never fire; so whatever is missing, or no number, denies.
package kubernaut.library.parameters

import data.kubernaut.settings

numbers_at := [
	["production", "max_replicas"],
	["production", "critical_min_replicas"],
	["staging", "max_replicas"],
	["limits", "max_replicas"],
	["limits", "max_inputs_bytes"],
	["limits", "min_nodes_for_drain"],
	["hours", "from"],
	["hours", "to"],
	["rate", "max_per_hour"],
	["rate", "failures_in_a_row"],
	["max_running"],
]

lists_at := [
	["allowed_actions"],
	["destructive_actions"],
	["risky_actions"],
	["environments", "production"],
	["environments", "staging"],
	["environments", "development"],
	["protected_namespaces"],
	["own_namespaces"],
	["protected_nodes"],
	["hours", "weekdays"],
]

deny contains sprintf("settings.%s must be a number", [concat(".", path)]) if {
	some path in numbers_at
	not is_number(object.get(settings, path, null))
}

deny contains sprintf("settings.%s must be a list", [concat(".", path)]) if {
	some path in lists_at
	not is_array(object.get(settings, path, null))
}

deny contains "settings.environment_label must be text" if not is_string(object.get(settings, "environment_label", null))

# METADATA
# title: Words that the shipped policies share
# description: Functions and names over the input document; it decides nothing.
package kubernaut.lib

import data.kubernaut.settings

# METADATA
# description: The environment of the target, from the label of its namespace, else from the namespace's name.
default environment := "unknown"

environment := label if {
	label := input.target.namespaceLabels[settings.environment_label]
} else := name if {
	some name in ["production", "staging", "development"]
	some pattern in settings.environments[name]
	glob.match(pattern, [], input.target.namespace)
} else := input.cluster.environment

destructive if matches_any(input.action.type, settings.destructive_actions)

risky if matches_any(input.action.type, settings.risky_actions)

critical if label_is("kubernaut.ai/critical", "true")

critical if label_is("critical", "true")

dry_run if input.action.dryRun == true

# METADATA
# description: The replicas that the action asks for.
replicas := input.action.inputs.replicas if is_number(input.action.inputs.replicas)

namespace := input.target.namespace

changes_image if {
	input.action.type == "kubernetes/patch_deployment"
	contains(json.marshal(input.action.inputs), "\"image\"")
}

changes_image if input.action.inputs.image

changes_config if input.action.type in {"kubernetes/update_configmap", "kubernetes/update_secret"}

overridden if label_is("kubernaut.ai/emergency-override", "true")

overridden if input.workflow.annotations["kubernaut.ai/emergency-override"] == "true"

# METADATA
# description: Whether the target has a label or an annotation of this value.
label_is(name, value) if input.target.labels[name] == value

label_is(name, value) if input.target.annotations[name] == value

# METADATA
# description: Whether text fits one of the globs; "/" is not crossed by "*".
matches_any(text, patterns) if {
	some pattern in patterns
	glob.match(pattern, ["/"], text)
}

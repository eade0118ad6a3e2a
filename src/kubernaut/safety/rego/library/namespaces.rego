# METADATA
# title: Protected namespaces
# description: Nothing changes the cluster's own namespaces, but for scaling kubernaut's own Deployments.
package kubernaut.library.namespaces

import data.kubernaut.lib
import data.kubernaut.settings

deny contains sprintf("the namespace %s is protected", [lib.namespace]) if {
	lib.matches_any(lib.namespace, settings.protected_namespaces)
	not own_scaling
}

own_scaling if {
	input.action.type == "kubernetes/scale_deployment"
	input.target.kind == "Deployment"
	lib.namespace in settings.own_namespaces
	startswith(input.target.name, "kubernaut")
}

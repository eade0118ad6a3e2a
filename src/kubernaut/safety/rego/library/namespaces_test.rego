package kubernaut.library.namespaces_test

import data.kubernaut.library.namespaces

scaling(name, namespace) := {
	"action": {"type": "kubernetes/scale_deployment"},
	"target": {"kind": "Deployment", "name": name, "namespace": namespace},
}

test_the_cluster_s_own_namespaces_are_protected if {
	every name in ["kube-system", "kube-public", "kube-node-lease", "kubernaut-system"] {
		count(namespaces.deny) == 1 with input as scaling("coredns", name)
	}
}

test_others_are_not if count(namespaces.deny) == 0 with input as scaling("web", "shop")

test_our_own_deployments_may_be_scaled if {
	count(namespaces.deny) == 0 with input as scaling("kubernaut-controller", "kubernaut-system")
	count(namespaces.deny) == 1 with input as scaling("kubernaut-controller", "kube-system")
}

test_but_not_deleted if {
	count(namespaces.deny) == 1 with input as scaling("kubernaut-controller", "kubernaut-system")
		with input.action.type as "kubernetes/delete_pod"
}

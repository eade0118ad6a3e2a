package kubernaut.library.parameters_test

import data.kubernaut.library.parameters

test_the_shipped_parameters_are_complete if count(parameters.deny) == 0

test_a_missing_number_denies if {
	parameters.deny["settings.limits.max_replicas must be a number"] with data.kubernaut.settings.limits.max_replicas as null
}

test_a_number_as_text_denies if {
	parameters.deny["settings.max_running must be a number"] with data.kubernaut.settings.max_running as "many"
}

test_a_list_that_is_none_denies if {
	parameters.deny["settings.protected_namespaces must be a list"] with data.kubernaut.settings.protected_namespaces as "kube-system"
}

test_no_parameters_at_all_deny if count(parameters.deny) > 20 with data.kubernaut.settings as {}

package kubernaut.library.permissions_test

import data.kubernaut.library.permissions

may(granted) := {"action": {"serviceAccount": "scale-sa", "permissions": [
	{"resources": ["pods"], "verbs": ["list"], "granted": true},
	{"resources": ["deployments"], "verbs": ["get", "patch"], "granted": granted},
]}}

test_what_is_not_granted_denies if {
	permissions.deny == {"the ServiceAccount scale-sa may not get, patch deployments"} with input as may(false)
	count(permissions.deny) == 0 with input as may(true)
}

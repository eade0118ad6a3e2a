# METADATA
# title: Permissions
# description: What the contract declares must have been granted to the action's ServiceAccount.
package kubernaut.library.permissions

deny contains sprintf("the ServiceAccount %s may not %s %s", [account, concat(", ", one.verbs), concat(", ", one.resources)]) if {
	some one in input.action.permissions
	one.granted == false
	account := object.get(input.action, "serviceAccount", "of the action")
}

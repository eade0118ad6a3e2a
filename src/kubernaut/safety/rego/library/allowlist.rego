# METADATA
# title: Only actions that were allowed
# description: An action type that settings.allowed_actions does not name does not run. This is what allows all others.
package kubernaut.library.allowlist

import data.kubernaut.lib
import data.kubernaut.settings

allow if lib.matches_any(input.action.type, settings.allowed_actions)

deny contains sprintf("the action %s is not among those that may run here", [input.action.type]) if not allow

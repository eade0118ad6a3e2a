package kubernaut.freeze_test

import data.kubernaut.freeze

on(date) := {"time": {"date": date}, "requester": {"username": "bob", "groups": []}}

test_the_week_of_the_sale if count(freeze.deny) == 1 with input as on("2026-11-27")

test_the_week_after if count(freeze.deny) == 1 with input as on("2026-12-07")

package kubernaut.library.signatures_test

import data.kubernaut.library.signatures

test_a_wrong_signature_denies if {
	count(signatures.deny) == 1 with input as {"signature": {"verdict": "failed"}}
	count(signatures.deny) == 0 with input as {"signature": {"verdict": "verified"}}
}

test_an_unverified_image_is_worth_a_word if {
	count(signatures.warn) == 1 with input as {"signature": {"verdict": "unverified"}}
	count(signatures.warn) == 0 with input as {"signature": {"verdict": "verified"}}
}

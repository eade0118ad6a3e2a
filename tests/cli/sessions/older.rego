package production

deny[msg] {
	input.namespace == "production"
	msg := "no"
}

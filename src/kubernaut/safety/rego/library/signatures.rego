# METADATA
# title: Signatures
# description: An image whose signature is wrong does not run; one that nobody verified is worth a word.
package kubernaut.library.signatures

deny contains "the signature of its image is wrong" if input.signature.verdict == "failed"

warn contains "nobody has verified the signature of its image" if input.signature.verdict == "unverified"

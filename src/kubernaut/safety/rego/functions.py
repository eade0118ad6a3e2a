"""Which functions of Rego a policy may call, and why not the others.

Those allowed are there in our engine, gave OPA's own results in its conformance cases, answer the same to the same
input, and touch nothing outside. A test asks the engine for each of them. Standard library only, for the worker.
"""

_NAMES = """
abs ceil floor round numbers.range numbers.range_step bits.and bits.lsh bits.negate bits.or bits.rsh
bits.xor count max min product sort sum array.concat array.reverse array.slice intersection union
object.filter object.get object.keys object.remove object.subset object.union object.union_n concat
contains endswith format_int indexof indexof_n lower replace split sprintf startswith
strings.any_prefix_match strings.any_suffix_match strings.replace_n strings.reverse substring trim
trim_left trim_prefix trim_right trim_space trim_suffix upper regex.find_all_string_submatch_n
regex.find_n regex.is_valid regex.match regex.replace regex.split regex.template_match glob.match
glob.quote_meta to_number type_name is_array is_boolean is_null is_number is_object is_set is_string
base64.decode base64.encode base64.is_valid base64url.decode base64url.encode base64url.encode_no_pad
hex.decode hex.encode urlquery.decode urlquery.decode_object urlquery.encode urlquery.encode_object
json.filter json.is_valid json.marshal json.marshal_with_options json.patch json.remove json.unmarshal
yaml.is_valid yaml.marshal yaml.unmarshal units.parse units.parse_bytes semver.compare semver.is_valid
time.add_date time.clock time.date time.diff time.format time.parse_duration_ns time.parse_ns
time.parse_rfc3339_ns time.weekday net.cidr_contains graph.reachable graph.reachable_paths uuid.parse
print
"""

ALLOWED = frozenset(_NAMES.split())

BANNED = {
    "http.send": "a policy must not speak to the network: what it needs to know belongs into the input",
    "net.lookup_ip_addr": "a policy must not speak to the network: what it needs to know belongs into the input",
    "opa.runtime": "it would show the environment of the program to the policy",
    "rego.parse_module": "a policy must not read policies",
    "time.now_ns": "the same input must give the same verdict: write input.time.nowNs",
    "rand.intn": "the same input must give the same verdict",
    "uuid.rfc4122": "the same input must give the same verdict",
    "trace": "it has no effect here: write print(...)",
}


def reason_against(name: str) -> str:
    """Why a builtin function may not be called; empty for one that may."""
    if name in ALLOWED:
        return ""
    return BANNED.get(name, "there is no such function here")

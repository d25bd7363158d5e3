"""Bodies are read as Go's encoding/json reads them, errors included."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labwright.components.gorb.go_json import marshal, unmarshal
from labwright.components.gorb.options import BACKEND, SERVICE
from labwright.components.gorb.problems import Invalid

PAIR = "after object key:value pair"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("  \n", "EOF"),
        ("{", "unexpected EOF"),
        ('{"port"', "unexpected EOF"),
        ('{"port":', "unexpected EOF"),
        ('{"port":1', "unexpected EOF"),
        ('{"port":1,', "unexpected EOF"),
        ('{"host":"a', "unexpected EOF"),
        ('{"persistent":tr', "unexpected EOF"),
        ('{"a":-', "unexpected EOF"),
        ("port=1", "invalid character 'p' looking for beginning of value"),
        ("{'port':1}", "invalid character '\\'' looking for beginning of object key string"),
        ('{"port":1,}', "invalid character '}' looking for beginning of object key string"),
        ('{"port" 1}', "invalid character '1' after object key"),
        ('{"port":1 "host":""}', f"invalid character '\"' {PAIR}"),
        ('{"port":01}', f"invalid character '1' {PAIR}"),
        ('{"a":[1 2]}', "invalid character '2' after array element"),
        ('{"a":[1,]}', "invalid character ']' looking for beginning of value"),
        ('{"a":}', "invalid character '}' looking for beginning of value"),
        ('{"a":nope}', "invalid character 'o' in literal null (expecting 'u')"),
        ('{"a":True}', "invalid character 'T' looking for beginning of value"),
        ('{"a":NaN}', "invalid character 'N' looking for beginning of value"),
        ('{"a":-x}', "invalid character 'x' in numeric literal"),
        ('{"a":"\n"}', "invalid character '\\n' in string literal"),
        ('{"a":"\\x"}', "invalid character 'x' in string escape code"),
        ('{"a":"\\u12g4"}', "invalid character 'g' in \\u hexadecimal character escape"),
        ("{,}", "invalid character ',' looking for beginning of object key string"),
        ('{"a":[,1]}', "invalid character ',' looking for beginning of value"),
        ('{"a":-Infinity}', "invalid character 'I' in numeric literal"),
        ('{"a":1.}', "invalid character '}' after decimal point in numeric literal"),
        ('{"a":[1.5e+ ]}', "invalid character ' ' in exponent of numeric literal"),
        ('{"a":[1e2e3]}', "invalid character 'e' after array element"),
        ('{"a":[1.5.2]}', "invalid character '.' after array element"),
        ('{"a":[1 .5]}', "invalid character '.' after array element"),
        ("1e", "unexpected EOF"),
        (b'{"port"\xff', "invalid character 'ÿ' after object key"),
        ("é", "invalid character 'Ã' looking for beginning of value"),
    ],
)
def test_what_is_not_json_is_refused_in_gos_words(body, error):
    with pytest.raises(Invalid) as refused:
        unmarshal(body if isinstance(body, bytes) else body.encode(), SERVICE)
    assert str(refused.value) == error


@pytest.mark.parametrize(
    ("body", "value", "field", "kind"),
    [
        ('{"host":1}', "number", "host", "string"),
        ('{"host":{}}', "object", "host", "string"),
        ('{"host":[]}', "array", "host", "string"),
        ('{"persistent":"yes"}', "string", "persistent", "bool"),
        ('{"persistent":1}', "number", "persistent", "bool"),
        ('{"port":true}', "bool", "port", "uint16"),
        ('{"port":-1}', "number -1", "port", "uint16"),
        ('{"port":65536}', "number 65536", "port", "uint16"),
        ('{"port":4444.0}', "number 4444.0", "port", "uint16"),
        ('{"port":1e3}', "number 1e3", "port", "uint16"),
        ('{"Port":""}', "string", "port", "uint16"),
        ('{"port":"", "host":1}', "string", "port", "uint16"),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_named(body, value, field, kind):
    with pytest.raises(Invalid) as refused:
        unmarshal(body.encode(), SERVICE)
    assert str(refused.value) == (
        f"json: cannot unmarshal {value} into Go struct field ServiceOptions.{field} of type {kind}"
    )


def test_the_fields_of_a_pulse_are_named_by_their_path():
    with pytest.raises(Invalid, match=r"struct field Options\.pulse\.type of type string"):
        unmarshal(b'{"pulse":{"type":1}}', BACKEND)
    with pytest.raises(Invalid, match=r"string into .* BackendOptions\.pulse of type pulse"):
        unmarshal(b'{"pulse":"tcp"}', BACKEND)
    with pytest.raises(Invalid, match=r"array into .*args of type util\.DynamicMap"):
        unmarshal(b'{"pulse":{"args":[]}}', BACKEND)


def test_a_number_of_thousands_of_digits_is_out_of_range():
    with pytest.raises(Invalid, match="of type uint16"):
        unmarshal(b'{"port":' + b"9" * 5000 + b"}", SERVICE)


def test_a_body_of_brackets_without_end_is_refused():
    with pytest.raises(Invalid, match="exceeded max depth"):
        unmarshal(b"[" * 100_000, SERVICE)


def test_null_changes_nothing_and_the_last_of_two_keys_counts():
    assert unmarshal(b'{"port":1,"port":2,"host":null}', SERVICE) == {"port": 2}
    assert unmarshal(b"null", SERVICE) == {}


def test_half_a_character_becomes_the_replacement_character():
    assert unmarshal(b'{"host":"\\ud800"}', SERVICE) == {"host": "\ufffd"}
    assert unmarshal(b'{"host":"\xff"}', SERVICE) == {"host": "\ufffd"}


def test_arguments_keep_their_values_and_are_sorted():
    body = b'{"pulse":{"args":{"z":1,"a":[1.5,"x",null,true,{"b":2}]}}}'
    args = unmarshal(body, BACKEND)["pulse"]["args"]
    assert json.dumps(args) == '{"a": [1.5, "x", null, true, {"b": 2}], "z": 1}'


def test_what_is_written_escapes_what_go_escapes():
    assert marshal({"a": "<&>\u2028é"}) == b'{\n\t"a": "\\u003c\\u0026\\u003e\\u2028\xc3\xa9"\n}'
    assert marshal([]) == b"[]"


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\u0 -1.eEtrufalsn', max_size=40))
def test_any_body_is_read_or_refused(body):
    raw = body if isinstance(body, bytes) else body.encode()
    with contextlib.suppress(Invalid):
        unmarshal(raw, BACKEND)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_what_is_written_reads_back_the_same(value):
    assert json.loads(marshal(value)) == value

"""Make chat/templates.json: chat templates, and the features they are written with, rendered by
`apply_chat_template`.

    python tests/data/make_chat_templates.py TRL_FOLDER

TRL_FOLDER is `chat_templates` of the package trl, whose templates (Apache-2.0) stand in the file as they are
there. Of every entry, the file has the template, its tokens where they are not the common ones, and what
transformers made of each conversation: a text, or an error. `missing` is a name that transformers prints
nothing for, because nothing defines it: mrx refuses that.

The file that is checked in was made with transformers 5.24.0, jinja2 3.1.6 and the templates of trl 1.16.0
on Python 3.11. Today is 1 January 2026 there.
"""

import datetime
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

HERE = Path(__file__).resolve().parent


class Today(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 1)


chat_template_utils.datetime = Today
TOKENS = dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
TRICKY = (
    "  Two leading spaces,\n\ta tab, \"double\" and 'single' quotes, a \\n that is no newline,\n\n{{ braces }} {% if %}"
    " <b>&amp;</b>\nGrüße, 你好, 🦀, \u00a0 \n "
)
ASK, ANSWER, AGAIN, SYSTEM = "u:What is the capital of France?", "a:Paris.", "u:And of Italy?", "s:Use one word."
THOUGHT = "a:<think>\nFrance, so Paris.\n</think>\n\nParis."


def chat(*lines):
    roles = dict(s="system", u="user", a="assistant", t="tool")
    return [[roles[line[0]], line[2:]] for line in lines]


CONVERSATIONS = dict(
    ask=chat(ASK),
    system=chat(SYSTEM, ASK),
    turns=chat(ASK, ANSWER, AGAIN),
    system_turns=chat(SYSTEM, ASK, ANSWER, AGAIN),
    answered=chat(ASK, ANSWER),
    tricky=chat("s:" + TRICKY, "u:" + TRICKY, "a:" + TRICKY, "u:" + TRICKY),
    thought=chat(ASK, THOUGHT, AGAIN),
    thought_last=chat(ASK, THOUGHT),
    empty=chat("u:", "a:"),
    twice=chat(ASK, AGAIN),
    answer_first=chat(ANSWER, ASK),
    late_system=chat(ASK, SYSTEM),
    tool=chat(ASK, "t:42"),
)
DATE = "strftime_now"


def tokenizer(tokens):
    backend = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **tokens)


def render(tokens, template, name, prompt, arguments):
    messages = [dict(role=role, content=content) for role, content in CONVERSATIONS[name]]
    case = dict(conversation=name, prompt=prompt)
    if arguments:
        case["arguments"] = arguments
    arguments = {key: value for key, value in arguments.items() if key != DATE}
    try:
        case["text"] = tokenizer(tokens).apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=prompt, **arguments
        )
    except Exception as error:  # whatever stops transformers stops mrx, too
        case["error"] = str(error) or type(error).__name__
    return case


def dated(template, arguments):
    """With the date, where the template asks for one."""
    return arguments | ({DATE: "2026-01-01"} if DATE in template else {})


def whole(name, template, full=False):
    """A published template: conversations, and the arguments that it reads."""
    most = list(CONVERSATIONS) if full else ["system_turns", "tricky", "thought", "answered", "late_system"]
    cases = [(conversation, conversation not in ("answered", "thought_last", "empty"), {}) for conversation in most]
    if "enable_thinking" in template:
        cases += [("system", True, dict(enable_thinking=False)), ("system", True, dict(enable_thinking=True))]
    if "reasoning_effort" in template:
        cases += [("ask", True, dict(reasoning_effort="high"))]
    if full:
        cases += [("ask", False, {}), ("thought", False, {}), ("system_turns", False, {})]
    rendered = [render(TOKENS, template, c, prompt, dated(template, arguments)) for c, prompt, arguments in cases]
    return dict(name=name, template=template, rendered=rendered)


# Templates of what templates are written with, most of them over one or two conversations. Known to differ,
# and not here: mrx loops over `none` as over nothing; it has no `'%s' % x`, which fails; and `'a' ~ true` is
# `atrue` there.
FEATURES = {
    "tokens": "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ unk_token }}",
    "tokens added": "{{ bos_token + messages[0]['content'] + eos_token }}",
    "token tested": "{% if sep_token is defined %}{{ sep_token }}{% else %}none{% endif %}{% if cls_token %}x{% endif %}",
    "token not none": "{{ bos_token if bos_token is not none else '' }}",
    "undefined by default": "{{ date_string | default('no date', true) }}|{{ x | default('y') }}|{{ x | d }}|",
    "undefined compared": "{{ x == 'a' }}|{{ x != 'a' }}|{{ x is none }}|{{ x is string }}|{{ (x | upper) == 'A' }}",
    "undefined looped": "{% for y in tools_in_user_message %}{{ y }}{% else %}none{% endfor %}{{ x | length }}",
    "undefined attribute": "{{ messages[0].name }}|{{ messages[0].tool_calls is defined }}|{{ messages[0]['name'] is undefined }}",
    "undefined set": "{% if not date is defined %}{% set date = 'today' %}{% endif %}{{ date }}",
    "undefined of undefined": "{{ x.y }}",
    "undefined item": "{{ x['y'] }}",
    "undefined added": "{{ x + 'y' }}",
    "undefined called": "{{ x('y') }}",
    "undefined in": "{{ 'a' in x }}|{{ x in ['a'] }}",
    "none printed": "{{ none }}|{{ tools }}|{{ documents }}|{{ None }}",
    "none iterable": "{{ none is iterable }}|{{ 'a' is iterable }}|{{ messages is iterable }}|{{ 4 is iterable }}",
    "none contains": "{{ 'a' in none }}",
    "none tested": "{% if tools is not none and tools %}tools{% elif documents is none %}no documents{% endif %}",
    "booleans printed": "{{ true }}|{{ false }}|{{ True }}|{{ False }}|{{ 1 == 1 }}|{{ not add_generation_prompt }}",
    "numbers printed": "{{ 1 }}|{{ 1.0 }}|{{ 1e20 }}|{{ 0.00001 }}|{{ 7 / 2 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ -7 % 3 }}|{{ 2 ** 8 }}",
    "lists printed": "{{ ['a', \"it's\", 1, 2.5, none, true, ['b\\n']] }}|{{ [] }}|{{ ('a', 1) }}|{{ ('a',) }}",
    "dicts printed": "{{ {'a': 1, 'b': [none], 2: 'c'} }}|{{ {} }}|{{ messages[0] }}",
    "string filter": "{{ (none | string) + (true | string) + (1.5 | string) + ([1] | string) + ('a' | string) }}",
    "concatenated": "{{ 'a' ~ 1 ~ 'b' ~ 2.5 }}|{{ 'a' ~ messages[0].content }}",
    "joined": "{{ ['a', 1, 2.5] | join('-') }}|{{ messages | map(attribute='role') | join(', ') }}|{{ '-'.join(['a', 'b']) }}",
    "tojson": "{{ messages | tojson }}|{{ {'a': [1, 2.5, true, none, 'é\"<&>\\u2028'], 'b': {}} | tojson }}",
    "tojson indented": "{{ {'a': [1, {'b': []}], 'c': {}} | tojson(indent=2) }}|{{ [1, [2]] | tojson(indent=4) }}|{{ [1] | tojson(indent=none) }}",
    "tojson sorted": "{{ {'b': 1, 'a': {'d': 1, 'c': 2}} | tojson(sort_keys=true) }}",
    "tojson separators": "{{ {'b': 1, 'a': [1, 2]} | tojson(separators=(',', ':')) }}",
    "tojson ascii": "{{ 'é🦀\\n' | tojson(ensure_ascii=true) }}|{{ 'é🦀' | tojson }}",
    "tojson undefined": "{{ x | tojson }}",
    "namespace": "{% set ns = namespace(found=false, n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% if m.role == 'user' %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }} {{ ns.n }}",
    "scopes": "{% set x = 1 %}{% for m in messages %}{% set x = 2 %}{% endfor %}{{ x }}{% if true %}{% set x = 3 %}{% endif %}{{ x }}",
    "macro": "{% macro line(role, content='nothing', end='\\n') %}{{ role }}: {{ content }}{{ end }}{% endmacro %}{{ line('a') }}{{ line('b', end='!') }}{{ line(role='c', content='d') }}",
    "macro and outer": "{% set outer = 'o' %}{% macro f(x) -%}{{ outer }}{{ x }}{{ bos_token }}{%- endmacro %}{{ f(1) | trim }}{{ f(2) + 'z' }}",
    "macro recursive": "{% macro down(n) %}{{ n }}{% if n > 0 %}{{ down(n - 1) }}{% endif %}{% endmacro %}{{ down(3) }}",
    "macro without argument": "{% macro f(a, b) %}{{ a }}{{ b is defined }}{% endmacro %}{{ f(1) }}",
    "call block": "{% macro box(title) %}[{{ title }}: {{ caller() }}]{% endmacro %}{% call box('t') %}inside{% endcall %}",
    "items": "{% for key, value in {'b': 1, 'a': 2}.items() %}{{ key }}={{ value }};{% endfor %}{% for k, v in messages[0] | items %}{{ k }}={{ v }};{% endfor %}{% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{{ v }}{% endfor %}",
    "keys and get": "{{ messages[0].get('role') }}|{{ messages[0].get('name', 'x') }}|{{ messages[0].keys() | list }}|{{ messages[0].values() | list | length }}|{{ 'role' in messages[0] }}",
    "slices": "{{ messages[1:] | length }}|{{ messages[:-1] | length }}|{% for m in messages[::-1] %}{{ m.role }} {% endfor %}|{{ 'abcdef'[1:3] }}|{{ 'abcdef'[-2:] }}|{{ 'abcdef'[::2] }}|{{ 'abc'[0] }}|{{ 'abc'[-1] }}",
    "negative indices": "{{ messages[-1].role }}|{{ messages[-1]['content'] }}|{{ [1, 2, 3][-2] }}",
    "out of range": "{{ messages[9] }}|{{ messages[9] is defined }}",
    "attribute out of range": "{{ messages[9].role }}",
    "loop variables": "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "loop neighbours": "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined else '-' }}<{{ m.role }}>{{ loop.nextitem.role if loop.nextitem is defined else '-' }};{% endfor %}",
    "loop cycle": "{% for m in messages %}{{ loop.cycle('odd', 'even') }} {% endfor %}",
    "loop filtered": "{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ m.content }};{% else %}none{% endfor %}",
    "loop control": "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.role }}{% if m.role == 'assistant' %}{% break %}{% endif %}{% endfor %}",
    "loop nested": "{% for m in messages %}{% set outer = loop %}{% for c in 'ab' %}{{ outer.index }}{{ c }}{{ loop.index }} {% endfor %}{% endfor %}",
    "loop over pairs": "{% for a, b in [('x', 1), ('y', 2)] %}{{ a }}{{ b }}{% endfor %}{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}",
    "loop alternation": "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{{ m.content }}{% endfor %}",
    "raise": "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{{ messages[0].content }}",
    "raise in macro": "{% macro f() %}{{ raise_exception('Not here') }}{% endmacro %}{{ f() }}",
    "selected": "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}|{{ (messages | rejectattr('role', 'eq', 'user') | list)[0].role }}|{{ messages | selectattr('name', 'defined') | list | length }}|{{ messages | selectattr('role', 'in', ['user', 'system']) | map(attribute='content') | first }}",
    "select and reject": "{{ [1, 2, 3, 4] | select('odd') | list }}|{{ [0, 1, none] | reject('none') | list }}|{{ [0, 1, ''] | select | list }}",
    "mapped": "{{ messages | map(attribute='content') | map('upper') | list }}|{{ messages | map(attribute='x', default='d') | list | first }}",
    "first and last": "{{ (messages | first).role }}|{{ (messages | last).content }}|{{ 'abc' | first }}|{{ 'abc' | last }}",
    "tests of type": "{{ messages is mapping }}|{{ messages[0] is mapping }}|{{ messages is sequence }}|{{ 'a' is sequence }}|{{ messages[0] is sequence }}|{{ 'a' is string }}|{{ 1 is number }}|{{ true is number }}|{{ 1.5 is float }}|{{ 1 is integer }}|{{ true is integer }}|{{ true is boolean }}|{{ 'a' is mapping }}|{{ none is none }}|{{ none is defined }}",
    "tests of value": "{{ 4 is divisibleby 2 }}|{{ 4 is even }}|{{ 3 is odd }}|{{ 'a' is in ['a'] }}|{{ 'a' is eq 'a' }}|{{ 1 is ne 2 }}|{{ true is true }}|{{ 1 is true }}|{{ false is false }}|{{ none is false }}|{{ 'a' is lower }}|{{ 'A' is upper }}|{{ none is sameas none }}",
    "strip": "[{{ '  a b \\n'.strip() }}|{{ '  a '.lstrip() }}|{{ ' a  '.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ '\\n\\na\\n'.strip('\\n') }}|{{ '\\x1fa\\u00a0' | trim }}|{{ 'xax' | trim('x') }}]",
    "split": "{{ 'a</think>b</think>c'.split('</think>')[-1] }}|{{ 'a,b,c'.split(',', 1) }}|{{ ' a  b '.split() }}|{{ 'a b c'.split(' ') | length }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ 'a,b'.split(',', maxsplit=1) }}|{{ 'a b  c '.split(none, 1) }}",
    "split lines": "{{ 'a\\nb\\r\\nc\\n'.splitlines() }}|{{ ''.splitlines() }}|{{ ' a b  c '.rsplit(none, 1) }}|{{ 'a\\n\\nb'.split('\\n') }}",
    "partition": "{{ 'a=b=c'.partition('=')[2] }}|{{ 'a=b=c'.rpartition('=')[0] }}|{{ 'abc'.partition('=')[0] }}",
    "prefixes": "{{ 'abc'.startswith('ab') }}|{{ 'abc'.endswith('bc') }}|{{ 'abc'.startswith(('x', 'a')) }}|{{ 'abc'.removeprefix('a') }}|{{ 'abc'.removesuffix('c') }}",
    "cases": "{{ 'aBc dE'.upper() }}|{{ 'ABC' | lower }}|{{ 'abc DEF'.title() }}|{{ 'abc def' | title }}|{{ 'abc DEF' | capitalize }}|{{ messages[0].role.capitalize() }}|{{ 'ß' | upper }}",
    "replaced": "{{ 'a b a'.replace('a', 'x') }}|{{ 'aaa'.replace('a', 'b', 2) }}|{{ 'a b' | replace(' ', '_') }}",
    "found": "{{ 'abcabc'.find('c') }}|{{ 'abc'.find('x') }}|{{ 'abcabc'.rfind('c') }}|{{ 'abab'.count('ab') }}|{{ 'abc'.index('b') }}|{{ [1, 2, 2].count(2) }}|{{ [1, 2].index(2) }}",
    "asked of strings": "{{ '12'.isdigit() }}|{{ 'ab'.isalpha() }}|{{ 'a1'.isalnum() }}|{{ ' \\n'.isspace() }}|{{ 'ab'.islower() }}|{{ 'AB'.isupper() }}",
    "formatted": "{{ '{}-{}'.format('a', 1) }}|{{ '%s: %d' | format('a', 2) }}|{{ '{:02d}'.format(3) }}|{{ '7'.zfill(3) }}",
    "escapes": "{{ 'a\\tb\\nc\\\\d\\'e' }}|{{ \"\\\"q\\\"\" }}|{{ '\\u00e9' }}|{{ '\\x41' }}",
    "arithmetic on strings": "{{ 'ab' * 3 }}|{{ 'a' + 'b' }}|{{ [1] + [2] }}|{{ 'a' < 'b' }}|{{ 1 < 2 < 3 }}",
    "type errors": "{{ 'a' + 1 }}",
    "conditions": "{{ 'yes' if messages | length > 2 else 'no' }}|{{ 'yes' if false }}|{{ messages and 'some' }}|{{ '' or 'other' }}|{{ not '' }}|{{ 1 if 0 else 2 if 0 else 3 }}",
    "in and not in": "{{ 'user' in ['user', 'system'] }}|{{ 'x' not in 'abc' }}|{{ 'a' in {'a': 1} }}|{{ '</think>' in messages[-1].content }}|{{ not 'a' in 'b' }}",
    "set block": "{% set text %}a {{ messages[0].role }}\n{% endset %}[{{ text }}][{{ text | trim }}]",
    "set pairs": "{% set a, b = 1, 'x' %}{{ a }}{{ b }}{% set c, d = ['y', 'z'] %}{{ c }}{{ d }}",
    "set with filter": "{% set text | upper %}abc{% endset %}{{ text }}{% filter upper %}def{% endfilter %}",
    "with": "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}",
    "white space": "  {%- if true -%}  a  {%- endif -%}  b\n  {% if true %}\n  c\n  {% endif %}\n\n  d {#- no -#} e {{- 'f' -}} g\n",
    "white space kept": "a\n  {%+ if true %}b{% endif +%}\nc\n{{ 'd' }}\n{% if true +%}\ne\n{%- endif %}\n\n",
    "raw": "{% raw %}{{ not.this }} {% nor that %}{% endraw %}{{ 'x' }}",
    "comments": "a{# {{ x }} {% if %} #}b\n{# line #}\nc",
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    "generation trimmed": "{%- for m in messages %}\n  {%- if m.role == 'assistant' %}\n  {%- generation -%}\n  {{ m.content }}\n  {%- endgeneration -%}\n  {%- else %}\n{{ m.content }}\n  {%- endif %}\n{%- endfor %}",
    "generation on lines": "{% for m in messages %}\n  {% generation %}\n  {{ m.content }}\n  {% endgeneration %}\n{% endfor %}\nend",
    "generation kept": "a\n  {%+ generation +%}\nb\n  {%+ endgeneration +%}\nc",
    "generation scope": "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}",
    "generation in a string": "{{ '{% generation %}' }}{% raw %}{% generation %}{% endraw %}{# {% generation %} #}",
    "generation unclosed": "{% generation %}{{ messages[0].content }}",
    "date": "{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%Y-%m-%d') }}|{{ strftime_now('%A, %B %-d, %H:%M:%S %j') }}",
    "date if there is one": "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% else %}26 Jul 2024{% endif %}",
    "numbers of text": "{{ '3' | int + 1 }}|{{ 'x' | int }}|{{ 'x' | int(7) }}|{{ '2.5' | float }}|{{ 3.7 | int }}|{{ 2.567 | round(2) }}|{{ 2.5 | round }}|{{ -3 | abs }}",
    "sums": "{{ [3, 1, 2] | sort }}|{{ [3, 1] | sum }}|{{ [3, 1] | max }}|{{ [3, 1] | min }}|{{ ['b', 'a', 'b'] | unique | list }}|{{ [1, 2, 3] | reverse | list }}|{{ 'abc' | reverse }}|{{ [1, 2, 3] | batch(2) | list }}",
    "sorted by attribute": "{{ messages | sort(attribute='role') | map(attribute='role') | list }}|{{ messages | groupby('role') | map('first') | list }}",
    "lengths": "{{ messages | length }}|{{ messages | count }}|{{ 'é🦀' | length }}|{{ {'a': 1} | length }}|{{ messages.__len__ is defined }}",
    "lists of text": "{{ 'abc' | list }}|{{ {'a': 1} | list }}|{{ range(3) | list }}|{{ (1, 2) | list }}",
    "indented": "{{ 'a\\nb\\n\\nc' | indent(2) }}|{{ 'a\\nb' | indent(4, true) }}|{{ 'a\\nb' | indent(width=1, first=true) }}",
    "escaped": "{{ '<a & \"b\">' | e }}|{{ '<a>' | safe }}|{{ messages[-1].content }}",
    "dict made": "{% set d = dict(a=1, b='x') %}{{ d.a }}{{ d['b'] }}|{{ {'role': 'user', 'content': 'c'}.content }}|{{ {'items': 3}['items'] }}",
    "list changed": "{% set l = [] %}{% set _ = l.append(1) %}{{ l }}",
    "dict changed": "{% set d = {} %}{% set _ = d.update({'a': 1}) %}{{ d }}",
    "private": "{{ messages.__class__ }}|{{ messages[0].__class__.__mro__ }}",
    "unknown filter": "{{ messages | nosuchfilter }}",
    "unknown method": "{{ 'a'.nosuchmethod() }}",
    "no template": "{% if %}",
    "system first": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "thinking cut off": "{% for m in messages %}{% set content = m.content %}{% if m.role == 'assistant' and '</think>' in content %}{% set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}{% set content = content.split('</think>')[-1].lstrip('\\n') %}({{ reasoning }}){% endif %}{{ content }};{% endfor %}",
    "last user": "{% set ns = namespace(multi_step_tool=true, last_query_index=messages | length - 1) %}{% for message in messages[::-1] %}{% set index = (messages | length - 1) - loop.index0 %}{% if ns.multi_step_tool and message.role == 'user' and message.content is string and not (message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}{% set ns.multi_step_tool = false %}{% set ns.last_query_index = index %}{% endif %}{% endfor %}{{ ns.last_query_index }}",
    "content parts": "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}{% if m.content is iterable and m.content is not string %}parts{% endif %}{% endfor %}",
}  # fmt: skip
VARIED = {  # arguments, beside none
    "argument": ("{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n{% endif %}{{ enable_thinking | default(true) }}",
                 [dict(enable_thinking=False), dict(enable_thinking=True)]),
    "arguments of every type": ("{{ a }}|{{ b }}|{{ c | join(',') }}|{{ d }}|{{ {'a': a, 'b': b, 'c': c} | tojson }}",
                                [dict(a="x\"é", b=3, c=["p", 1, True], d=2.5), dict(a=True, b=-1.5e-7, c=[], d=10**17)]),
    "argument in place of a token": ("{{ bos_token }}", [dict(bos_token="<other>")]),
}  # fmt: skip
MISSING = {  # printed, and nowhere defined
    "missing token": ("{{ bos_token }}{{ messages[0].content }}", "bos_token"),
    "missing token in a text": ("{{ 'a' ~ sep_token ~ 'b' }}", "sep_token"),
    "missing token trimmed": ("{{ eos_token | trim }}", "eos_token"),
    "missing token in a macro": ("{% macro f() %}{{ cls_token }}{% endmacro %}{{ f() }}", "cls_token"),
    "missing token in a loop": ("{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}", "eos_token"),
    "missing name": ("{{ date_string }}", "date_string"),
}


def feature(name, template, variants=({},)):
    conversations = ("system_turns", "ask") if "messages" in template else ("ask",)
    rendered = [
        render(TOKENS, template, conversation, True, dated(template, arguments))
        for conversation in conversations for arguments in variants
    ]  # fmt: skip
    return dict(name=name, template=template, rendered=rendered)


def missing(name, template, of):
    case = render({}, template, "ask", True, {})
    assert case["text"] is not None
    return dict(name=name, template=template, tokens={}, rendered=[case | dict(missing=of)])


# ---- tokens of folders --------------------------------------------------------------------------

SHOW = "{% for token in [bos_token, eos_token, pad_token, unk_token, sep_token, cls_token, mask_token, image_token, boi_token] %}{{ token if token is defined else '-' }} {% endfor %}"


def token(content):
    return dict(content=content, lstrip=False, normalized=False, rstrip=False, single_word=False)


FOLDERS = {
    "bare": (dict(bos_token="<s>", eos_token="</s>"), None),
    "null": (dict(bos_token=None, eos_token="</s>", unk_token=None), None),
    "with settings": (dict(bos_token=dict(__type="AddedToken", **token("<s>")), eos_token="</s>"), None),
    "map alone": ({}, dict(bos_token="<s>", eos_token=token("</s>"), pad_token="</s>", mask_token="<m>")),
    "map beside": (dict(bos_token="<old>", sep_token="<sep>"), dict(bos_token="<s>")),
    "map beside a list": (
        dict(added_tokens_decoder={"1": dict(**token("<s>"), special=True)}, bos_token="<s>"),
        dict(bos_token="<other>", cls_token="<cls>"),
    ),
    "named": (dict(bos_token="<s>", image_token="<image>", extra_special_tokens=dict(boi_token="<boi>")), None),
    "own": (dict(bos_token="<s>", model_specific_special_tokens=dict(image_token="<image>")), None),
    "further": (dict(bos_token="<s>", additional_special_tokens=["<a>", "<b>"]), None),
    "a class of its own": (dict(tokenizer_class="LlamaTokenizerFast", pad_token="</s>"), None),
    "a class and none": (dict(tokenizer_class="LlamaTokenizer", bos_token=None, eos_token="<e>"), None),
    "another class": (dict(tokenizer_class="Qwen2Tokenizer"), dict(eos_token="<|im_end|>")),
    "a third class": (dict(tokenizer_class="GPT2TokenizerFast"), None),
    "no token": (dict(add_bos_token=True, model_max_length=10), None),
}


def folder(name):
    config, special = FOLDERS[name]
    config = dict(tokenizer_class="PreTrainedTokenizerFast") | config
    with tempfile.TemporaryDirectory() as path:
        Tokenizer(models.BPE({"<unk>": 0, "a": 1}, [])).save(f"{path}/tokenizer.json")
        Path(path, "tokenizer_config.json").write_text(json.dumps(config))
        if special is not None:
            Path(path, "special_tokens_map.json").write_text(json.dumps(special))
        read = AutoTokenizer.from_pretrained(path)
    text = read.apply_chat_template([dict(role="user", content="a")], chat_template=SHOW, tokenize=False)
    return dict(name=name, config=config, special_tokens_map=special, text=text)


def main():
    published = sorted(Path(sys.argv[1]).glob("*.jinja"))
    entries = [whole(f"trl/{path.stem}", path.read_text()) for path in published if path.stat().st_size < 9000]
    entries += [feature(*item) for item in FEATURES.items()]
    entries += [feature(name, template, [{}, *variants]) for name, (template, variants) in VARIED.items()]
    entries += [missing(name, *item) for name, item in MISSING.items()]
    made = dict(tokens=TOKENS, conversations=CONVERSATIONS, shown=SHOW, folders=[folder(name) for name in FOLDERS])
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    head = json.dumps(made, ensure_ascii=False)[:-1]
    (HERE / "chat/templates.json").write_text(f'{head}, "entries": [\n{lines}\n]}}\n')
    renderings = sum(len(entry["rendered"]) for entry in entries)
    print(f"{len(entries)} templates, {renderings} renderings, {len(FOLDERS)} folders")


if __name__ == "__main__":
    main()

"""The tools of tools/ must fail when they should: each is shown a small project with one fault in it."""
import json
import os
import subprocess
import textwrap

import pytest

TOOLS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "tools")
LAYERS = """\
# a comment
base          0
wire          1
loop          1
protocol      4
protocol/http 4  <- protocol
main          6
"""


@pytest.fixture
def project(tmp_path):
    """project(files) -> a project with these files in src/"""
    def make(files):
        for name, text in {"LAYERS": LAYERS, **files}.items():
            path = tmp_path / "src" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return tmp_path
    return make


def run(tool, *args):
    return subprocess.run([os.path.join(TOOLS, tool), *map(str, args)], capture_output=True, text=True)


def passes(tool, root):
    done = run(tool, root)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fails(tool, root, *words):
    """It fails and one line has all these words."""
    done = run(tool, root)
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(all(word in line for word in words) for line in done.stdout.splitlines()), done.stdout
    return done.stdout


# ---- layers ----

def test_layers_passes_downward_own_and_arrow(project):
    passes("layers", project({
        "base/a.h": "#include <stdio.h>\n",
        "wire/b.h": '#include "base/a.h"\n',
        "wire/b.c": '#include "wire/b.h"\n#include "base/a.h"\n',
        "protocol/session.h": '#include "base/a.h"\n',
        "protocol/http/http1.c": '#include "protocol/session.h"\n  #  include "wire/b.h"\n',
        "main/main.c": '#include "protocol/session.h"\n#include "version.h"\n',
    }))


def test_layers_fails_upwards(project):
    fails("layers", project({"base/a.c": '\n#include "wire/b.h"\n', "wire/b.h": ""}),
          "src/base/a.c:2:", "floor 0", "wire/b.h")


def test_layers_fails_for_siblings(project):
    fails("layers", project({"wire/a.c": '#include "loop/b.h"\n', "loop/b.h": ""}), "src/wire/a.c:1:", "neighbours")


def test_layers_arrow_has_one_direction(project):
    fails("layers", project({"protocol/a.c": '#include "protocol/http/b.h"\n', "protocol/http/b.h": ""}),
          "src/protocol/a.c:1:", "neighbours")


def test_layers_fails_for_a_circle(project):
    fails("layers", project({
        "base/a.h": '#include "base/b.h"\n',
        "base/b.h": '#include "base/c.h"\n',
        "base/c.h": '#include "base/a.h"\n',
    }), "src/base/c.h:1:", "base/a.h -> base/b.h -> base/c.h -> base/a.h")


def test_layers_fails_for_a_header_including_itself(project):
    fails("layers", project({"base/a.h": '#include "base/a.h"\n'}), "src/base/a.h:1:", "circle")


def test_layers_fails_for_a_missing_file(project):
    fails("layers", project({"base/a.c": '#include "base/none.h"\n'}), "src/base/a.c:1:", "no file src/base/none.h")


def test_layers_fails_for_a_path_not_from_src(project):
    fails("layers", project({"base/a.c": '#include "b.h"\n', "base/b.h": ""}), "src/base/a.c:1:", "no file")


def test_layers_fails_for_ours_in_angle_brackets(project):
    fails("layers", project({"base/a.c": "#include <wire/b.h>\n", "wire/b.h": ""}), "src/base/a.c:1:", "wire/b.h")


def test_layers_fails_for_a_source_file(project):
    fails("layers", project({"base/a.c": '#include "base/b.c"\n', "base/b.c": ""}), "src/base/a.c:1:", "no header")


def test_layers_fails_for_an_unknown_folder(project):
    fails("layers", project({"cellar/a.c": ""}), "src/cellar/a.c:1:", "LAYERS")


def test_layers_keeps_version_h_in_main(project):
    fails("layers", project({"wire/a.c": '#include "version.h"\n'}), "src/wire/a.c:1:", "version.h")


def test_layers_does_not_read_comments(project):
    passes("layers", project({"base/a.c": '/*\n#include "wire/b.h"\n*/\n', "wire/b.h": ""}))


def test_layers_fails_for_a_bad_row(project):
    done = run("layers", project({"LAYERS": "base zero\n"}))
    assert done.returncode == 1 and "LAYERS:1" in done.stderr


# ---- banned ----

@pytest.mark.parametrize("call", """strcpy strcat sprintf vsprintf strtok gets atoi atol scanf sscanf gmtime localtime
                                    signal system alloca asctime ctime rand""".split())
def test_banned_fails_for_a_call(project, call):
    fails("banned", project({"base/a.c": f"int f(void)\n{{\n    return {call} (x);\n}}\n"}),
          "src/base/a.c:3:", f"{call}() is banned")


def test_banned_passes_what_only_looks_like_it(project):
    passes("banned", project({"base/a.c": """\
        /* strcpy(a, b) */ // atoi(x)
        const char *s = "sprintf(x) \\" system(y)";
        char c = '"';
        void f(void) { gmtime_r(&t, &tm); ops->signal(1); ops.system(2); my_rand(); strtok_r(a, b, &c); int signal = 1; }
        """}))


def test_banned_passes_its_own_list(project):
    passes("banned", project({"base/banned.h": "#define strcpy(a, b) no\n"}))


def test_banned_fails_behind_a_string(project):
    fails("banned", project({"base/a.c": 'f("/*", strcpy(a, b), "*/");\n'}), "src/base/a.c:1:", "strcpy")


def test_banned_fails_for_a_nameless_todo(project):
    fails("banned", project({"base/a.c": "\n/* One line.\n * TODO: later */\n"}), "src/base/a.c:3:", "TODO")


def test_banned_passes_a_named_todo(project):
    passes("banned", project({"base/a.c": "/* TODO(ann): when the test green_x passes */\n"}))


# ---- shape ----

def function(lines, head="int f(void)", above=""):
    """A function of so many lines."""
    return f"{above}{head}\n{{\n" + "    g();\n" * (lines - 3) + "}\n"


DEEP = """\
int f(int a)
{
    while (a) {
        if (a)
            for (;;)
                LIST_EACH(a, b) {
                    %s
                }
    }
}
"""


def test_shape_passes_small_code(project):
    out = passes("shape", project({"base/a.c": function(80), "base/a.h": "int f(void);\n"}))
    assert "80  src/base/a.c:1 f" in out


def test_shape_fails_for_a_long_function(project):
    fails("shape", project({"base/a.c": function(81)}), "src/base/a.c:1:", "81 lines")


@pytest.mark.parametrize("above", ["/* long: a table of states */\n", "/* Does it.\n *\n * long: one switch */\n"])
def test_shape_takes_a_reason_above(project, above):
    passes("shape", project({"base/a.c": function(81, above="int x;\n\n" + above)}))


def test_shape_takes_a_reason_inside(project):
    passes("shape", project({"base/a.c": function(81).replace("g();", "/* long: so it is */", 1)}))


def test_shape_takes_no_empty_reason_nor_a_neighbours(project):
    fails("shape", project({"base/a.c": function(81, above="/* long: */\n")}), "81 lines")
    fails("shape", project({"base/a.c": function(5, above="/* long: x */\n") + function(81, "int h(void)")}), "h has 81")


def test_shape_fails_for_a_long_file(project):
    fails("shape", project({"base/a.c": "int x;\n" * 1001}), "src/base/a.c:1:", "1001 lines")
    passes("shape", project({"base/a.c": "/* a: b\n *\n * long: all of the table */\n" + "int x;\n" * 1001}))


def test_shape_fails_for_a_long_header(project):
    fails("shape", project({"base/a.h": "extern int x;\n" * 301}), "src/base/a.h:1:", "301 lines")


def test_shape_fails_for_deep_nesting(project):
    passes("shape", project({"base/a.c": DEEP % "g();"}))
    fails("shape", project({"base/a.c": DEEP % "if (a) g();"}), "src/base/a.c:1:", "5 levels of nesting")


def test_shape_does_not_count_what_does_not_nest(project):
    out = passes("shape", project({"base/a.c": """\
        int f(int a)
        {
            static const struct x t[] = {{{{{{.a = 1}}}}}};
            call((struct y){.b = {{{1}}}});
            if (a) {
            } else if (b) {
            } else if (c) {
            } else if (d) {
            } else if (e) {
            } else {
                do {
                    g();
                } while (x);
            }
            switch (a) {
            case 1:
                g();
            default:
                break;
            }
        out:
            return 1;
        }
        """}))
    assert "     2  src/base/a.c:1 f" in out


def test_shape_fails_for_many_parameters(project):
    six = "int a, int b, int (*c)(int, int), int d, int e, int f"
    passes("shape", project({"base/a.c": function(5, f"int f({six})")}))
    fails("shape", project({"base/a.c": function(5, f"int f({six}, int g)")}), "src/base/a.c:1:", "7 parameters")


# ---- tally ----

def meson_test(name, result="OK", stdout="", stderr=""):
    return json.dumps({"name": name, "result": result, "stdout": stdout, "stderr": stderr}) + "\n"


def test_tally_adds_up(tmp_path):
    (tmp_path / "a.json").write_text(
        meson_test("a", stdout="[==========] Running 2 test(s).\n[       OK ] x\n[       OK ] y\n",
                   stderr="[  PASSED  ] 2 test(s).\n")
        + meson_test("plain"))
    (tmp_path / "b.xml").write_text('<testsuites><testsuite><testcase classname="c" name="d"/>'
                                    '<testcase classname="c" name="e"><skipped/></testcase></testsuite></testsuites>')
    (tmp_path / "c.list").write_text("ok layers\n")
    done = run("tally", "--total", tmp_path / "a.json", tmp_path / "b.xml", tmp_path / "c.list", tmp_path / "*.none")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["1 skipped", "5 passed, 0 failed"]


@pytest.mark.parametrize("name, text", [
    ("a.json", meson_test("crash", "FAIL", "[       OK ] x\n")),
    ("a.json", meson_test("slow", "TIMEOUT")),
    ("a.json", meson_test("red", "FAIL", "[       OK ] x\n[  FAILED  ] y\n",
                          "[  PASSED  ] 1 test(s).\n[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] y\n")),
    ("a.xml", '<testsuite><testcase name="a"><failure/></testcase></testsuite>'),
    ("a.xml", '<testsuite><testcase name="a"><error/></testcase></testsuite>'),
    ("a.list", "FAIL building build\n"),
])
def test_tally_counts_a_failure_once(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    done = run("tally", "--total", tmp_path / name)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith(" 1 failed")
    assert done.stdout.startswith("FAILED: ")


# ---- version-header ----

def test_version_header_is_written_only_when_it_changes(tmp_path):
    header = tmp_path / "version.h"
    assert run("version-header", header, "1.2.3", tmp_path).returncode == 0
    assert '#define MEDUSA_VERSION "1.2.3"\n#define MEDUSA_COMMIT "unknown"\n' in header.read_text()
    os.utime(header, (1, 1))
    run("version-header", header, "1.2.3", tmp_path)
    assert header.stat().st_mtime == 1
    run("version-header", header, "1.2.4", tmp_path)
    assert header.stat().st_mtime > 1


# ---- text-to-c ----

@pytest.mark.parametrize("text", [b"", b"a", b"a\n", bytes(range(256)), b'"??=\\n\x001\r\n\n\t%s'])
def test_a_text_comes_out_of_the_program_as_it_was(tmp_path, text):
    (tmp_path / "text").write_bytes(text)
    assert run("text-to-c", tmp_path / "text.c", f"it={tmp_path}/text").returncode == 0
    (tmp_path / "main.c").write_text("#include <stdio.h>\nextern const char it[]; extern const size_t it_bytes;\n"
                                     "int main(void) { return fwrite(it, 1, it_bytes, stdout) != it_bytes; }\n")
    subprocess.run(["cc", "-o", tmp_path / "show", tmp_path / "main.c", tmp_path / "text.c"], check=True)
    assert subprocess.check_output([tmp_path / "show"]) == text

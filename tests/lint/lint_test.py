#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each check is seen to find what it is for: violations planted in a small tree."""

import os
import shutil
import subprocess
import tempfile
import unittest

import layers
import sources
import stages
import style
import symbols

HERE = os.path.dirname(os.path.abspath(__file__))
LICENCE = "/* SPDX-License-Identifier: BSD-3-Clause */\n"
TABLE = 'FRONT( 1, GET_FEATURES, "", EMPTY)\nFRONT( 2, SET_OWNER, "", EMPTY)\n' \
        'BACK( 1, BACKEND_IOTLB_MSG, "", IOTLB)\n'
STAGE = "\tcase WIRE_GET_FEATURES:\n\tcase WIRE_BACKEND_IOTLB_MSG:\n"


class Tree(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="lint-")
        self.addCleanup(shutil.rmtree, self.root)

    def put(self, path, text):
        whole = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "w", encoding="utf-8") as file:
            file.write(text)
        return whole

    def check_finds(self, problems, *words):
        self.assertEqual(len(problems), 1, problems)
        for word in words:
            self.assertIn(word, problems[0])


class Layers(Tree):
    def include(self, path, header):
        self.put(path, f'{LICENCE}#include {header}\n')
        return layers.check(self.root)

    def test_downward_includes_pass(self):
        for path, header in (("proxy/wire/a.c", '"base/b.h"'), ("proxy/wire/a.c", '"wire/a.h"'),
                             ("proxy/session/a.c", '"ring/r.h"'),
                             ("proxy/session/a.c", '"logging/d.h"'),
                             ("proxy/shell/a.c", '"session/s.h"'), ("proxy/shell/a.c", "<uv.h>"),
                             ("proxy/main.c", "<uv.h>"), ("proxy/main.c", '"shell/conf.h"'),
                             ("tools/x/a.c", '"shell/s.h"'), ("tools/x/a.c", '"x/a.h"')):
            with self.subTest(path + header):
                self.assertEqual(self.include(path, header), [])

    def test_upward_and_sideward_includes_are_found(self):
        for path, header in (("proxy/base/a.c", '"wire/w.h"'), ("proxy/wire/a.c", '"ring/r.h"'),
                             ("proxy/ring/a.h", '"session/s.h"'),
                             ("proxy/ring/a.h", '"logging/d.h"'),
                             ("logging/a.c", '"session/s.h"'), ("postcopy/a.c", '"shell/f.h"'),
                             ("proxy/session/a.c", '"shell/f.h"'),
                             ("tools/x/a.c", '"session/s.h"')):
            with self.subTest(path + header):
                self.check_finds(self.include(path, header), path + ":2", header)
                os.unlink(os.path.join(self.root, path))

    def test_the_loop_library_outside_the_shell_is_found(self):
        for path in ("proxy/session/a.c", "tools/x/a.c", "proxy/conf.c"):
            with self.subTest(path):
                self.check_finds(self.include(path, "<uv.h>"), path, "uv.h")
                os.unlink(os.path.join(self.root, path))

    def test_an_include_without_its_folder_is_found(self):
        self.check_finds(self.include("proxy/wire/a.c", '"table.h"'), "write the folder")

    def test_a_folder_in_no_layer_is_found(self):
        self.check_finds(self.include("proxy/extra/a.c", '"base/b.h"'), "in no layer")


class Sources(Tree):
    def test_a_clean_source_passes(self):
        self.put("proxy/a.c", LICENCE + "int a;\n" * 500)
        self.assertEqual(sources.check(self.root), [])

    def test_a_source_without_a_licence_line_is_found(self):
        self.put("tools/demo", "#!/bin/sh\ntrue\n")
        self.check_finds(sources.check(self.root), "tools/demo", "SPDX")

    def test_a_source_over_600_lines_is_found(self):
        self.put("a.h", LICENCE + "\n" * 600)
        self.check_finds(sources.check(self.root), "601 lines")

    def test_words_of_unfinished_work_and_paths_of_one_machine_are_found(self):
        for word in ("TO" + "DO: later", "FIX" + "ME", "/wo" + "rk/main/x", "/ho" + "me/me"):
            with self.subTest(word):
                self.put("a.c", f"{LICENCE}/* {word} */\n")
                self.check_finds(sources.check(self.root), "a.c:2")

    def test_what_a_build_made_is_not_looked_at(self):
        self.put("build/a.c", "int a;\n")
        self.put("build-debug/a.c", "int a;\n")
        self.assertEqual(sources.check(self.root), [])


class Stages(Tree):
    def run_on(self, stage=STAGE, passed='PASS(SET_OWNER, "nothing depends on it")\n'):
        self.put("proxy/wire/messages.def", TABLE)
        self.put("proxy/session/stage_x.c", stage)
        self.put("proxy/session/pass_through.def", passed)
        return stages.check(self.root)

    def test_named_and_passed_messages_are_enough(self):
        self.assertEqual(self.run_on(), [])

    def test_a_message_nobody_names_is_found(self):
        self.check_finds(self.run_on(passed=""), "SET_OWNER", "no stage")

    def test_a_case_outside_a_stage_does_not_count(self):
        self.put("proxy/session/session.c", "case WIRE_SET_OWNER:\n")
        self.check_finds(self.run_on(passed=""), "SET_OWNER")

    def test_a_list_that_says_too_much_is_found(self):
        self.check_finds(self.run_on(stage=STAGE + "case WIRE_SET_OWNER:\n"), "take it out")
        line = 'PASS(SET_OWNER, "reason")\nPASS(SET_PARENT, "reason")\n'
        self.check_finds(self.run_on(passed=line), "SET_PARENT", "no such message")
        self.check_finds(self.run_on(passed='PASS(SET_OWNER, "")\n'), "reason is empty")

    def test_a_table_that_can_not_be_read_is_no_success(self):
        self.put("proxy/wire/messages.def", "ROW(1, A)\n")
        self.put("proxy/session/pass_through.def", "")
        self.assertIn("no row", stages.check(self.root)[0])


class Symbols(Tree):
    def archive(self, name, text):
        source = self.put(name + ".c", text)
        objects = os.path.join(self.root, name + ".o")
        archive = os.path.join(self.root, f"lib{name}.a")
        subprocess.run([os.environ.get("CC", "cc"), "-c", "-o", objects, source], check=True)
        subprocess.run(["ar", "rcs", archive, objects], check=True)
        return archive

    def test_a_pure_function_of_another_core_archive_passes(self):
        one = self.archive("one", "int two(void); int one(void) { return two(); }")
        two = self.archive("two", "#include <string.h>\nint two(void);\n"
                                  "int two(void) { return strlen(\"xx\") ? 2 : 0; }")
        self.assertEqual(symbols.check_archives([one, two]), [])

    def test_system_calls_and_time_are_found(self):
        for call in ("close(3)", "(int)time(0)", "getpid()", "rand()"):
            with self.subTest(call):
                archive = self.archive("bad", "#include <unistd.h>\n#include <time.h>\n"
                                              "#include <stdlib.h>\nint f(void);\n"
                                              f"int f(void) {{ return {call}; }}")
                name = call.replace("(int)", "").split("(")[0]
                self.check_finds(symbols.check_archives([archive]), "libbad.a", "needs " + name)


class Style(Tree):
    def setUp(self):
        super().setUp()
        shutil.copy(os.path.join(HERE, "..", "..", ".clang-format"), self.root)

    def test_badly_laid_out_c_is_found_and_tables_are_left_alone(self):
        self.put("a.def", "ROW( 1,   A)\n")
        self.put("a.c", "int a;\n")
        self.assertEqual(style.check_format(self.root), [])
        self.put("a.c", "int  a ;\n")
        self.assertIn("a.c:1", style.check_format(self.root)[0])

    def test_a_careless_script_is_found(self):
        self.put("tools/x", "#!/usr/bin/env bash\nrm -rf $1/y\n")
        self.assertTrue(any("SC2086" in line for line in style.check_scripts(self.root)))

    def test_a_broken_manual_is_found(self):
        self.put("docs/man/x.1", ".Dd\n.Nonsense\n")
        self.assertTrue(style.check_manuals(self.root))

    def test_a_program_that_is_missing_is_a_failure(self):
        self.assertIn("run tools/setup", style.run("no-such-linter", [], self.root)[0])


if __name__ == "__main__":
    unittest.main()

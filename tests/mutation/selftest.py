"""How planting.py plants, and the lists that it refuses."""

import tempfile
import unittest
from pathlib import Path

import planting
from planting import Mutant

HEADER = """#pragma once
int f(int a) {
  int b = a + 1;  // one more
  if (a > 1 &&
      b > 2) {
    ++b;
    --a;
  }
  return b;
}
int g() { return 1; }
"""


def planted(*mutants):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.hpp").write_text(HEADER)
        return planting.plant_file("a.hpp", list(mutants), Path(folder))


def mutant(name, old, new, **more):
    return Mutant(name, "a.hpp", old + "\n", new + "\n", **more)


def switch(name):
    return f"::ilm_mutation::planted({planting.number_of(name)}u)"


class Planting(unittest.TestCase):
    def test_a_statement_becomes_a_branch(self):
        text = planted(mutant("m", "  return b;", "  return a;"))
        self.assertIn(f"  if ({switch('m')}) {{ return a; }} else {{ return b; }}\n", text)

    def test_lines_keep_their_numbers(self):
        text = planted(mutant("m", "  if (a > 1 &&\n      b > 2) {", "  if (a > 1) {"))
        after = text[text.index("#line 2\n") + len("#line 2\n") :].split("\n")
        self.assertEqual(after[7].strip(), "return b;")

    def test_a_head_gets_another_condition(self):
        text = planted(mutant("m", "  if (a > 1 &&\n      b > 2) {", "  if (a > 1) {"))
        self.assertIn(f"if (({switch('m')} ? bool(a > 1) : bool(a > 1 &&       b > 2))", text)

    def test_a_declaration_gets_another_value(self):
        text = planted(mutant("m", "  int b = a + 1;", "  int b = a;"))
        self.assertIn(f"int b = ({switch('m')} ? (a) : (a + 1));", text)

    def test_a_function_of_one_line_gets_another_body(self):
        text = planted(mutant("m", "int g() { return 1; }", "int g() { return 2; }"))
        self.assertIn(f"int g() {{ if ({switch('m')}) {{ return 2; }} else {{ return 1; }} }}", text)

    def test_shared_lines_are_left_alone(self):
        text = planted(mutant("m", "    ++b;\n    --a;", "    ++b;"))
        self.assertIn(f"    ++b;\n    if ({switch('m')}) {{  }} else {{ --a; }}", text)

    def test_a_comment_hides_no_brace(self):
        text = planted(mutant("m", "  int b = a + 1;  // one more\n  if (", "  ++a;\n  int b = a + 1;  // one more\n  if ("))
        self.assertIn(f"if ({switch('m')}) {{ ++a; }} else {{  }}", text)

    def test_an_operand_is_an_expression(self):
        text = planted(mutant("m", "b > 2", "true", whole_expression=True))
        self.assertIn(f"({switch('m')} ? (true) : (b > 2))", text)

    def test_two_defects_share_a_statement(self):
        text = planted(mutant("m", "  return b;", "  return a;"), mutant("n", "  return b;", "  return 0;"))
        expected = f"if ({switch('m')}) {{ return a; }} else if ({switch('n')}) {{ return 0; }} else {{ return b; }}"
        self.assertIn(expected, text)

    def test_one_defect_lies_in_the_other(self):
        head = mutant("m", "  if (a > 1 &&\n      b > 2) {", "  if (a > 1) {")
        text = planted(head, mutant("n", "b > 2", "true", whole_expression=True))
        inner = f"({switch('n')} ? (true) : (b > 2))"
        self.assertIn(f"({switch('m')} ? bool(a > 1) : bool(a > 1 &&       {inner}))", text)


class Refusals(unittest.TestCase):
    def refused(self, why, *mutants):
        with self.assertRaisesRegex(planting.Error, why):
            planted(*mutants)

    def test_lines_that_are_not_there(self):
        self.refused("are not in", mutant("m", "  return c;", "  return a;"))

    def test_lines_that_are_there_twice(self):
        self.refused("more than once", mutant("m", "b", "a", whole_expression=True))

    def test_parts_of_a_statement(self):
        self.refused("neither whole statements", mutant("m", "  if (a > 1 &&", "  if (a > 2 &&"))
        self.refused("in the middle of a statement", mutant("m", "1;  // one more", "2;"))

    def test_brackets_without_their_match(self):
        self.refused("brackets", mutant("m", "2) {", "3) {", whole_expression=True))

    def test_a_declaration_that_would_end_with_its_block(self):
        self.refused("a declaration", mutant("m", "  int b = a + 1;", "  int c = a;"))

    def test_texts_that_overlap(self):
        one = mutant("m", "    ++b;\n    --a;", "    ++a;\n    ++b;")
        two = mutant("n", "    --a;\n  }\n  return b;", "    ++a;\n  }\n  return a;")
        whole = mutant("o", "  int b = a + 1;  // one more\n  if (a > 1 &&\n      b > 2) {\n    ++b;", "x")
        self.refused("neither", one, two, whole)


class Numbers(unittest.TestCase):
    def test_they_are_those_of_the_program(self):
        # FNV-1a of "a", as published.
        self.assertEqual(planting.number_of("a"), 0xAF63DC4C8601EC8C)


if __name__ == "__main__":
    unittest.main()

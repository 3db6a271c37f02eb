#include "autograd/ops/einsum.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

namespace {

/// An einsum of the squares of its operands, so that its own second derivative by one operand shows too.
GradientRow row(const char* op, const char* subscripts, std::vector<std::vector<Shape>> shapes) {
  return {op,
          [subscripts](Inputs x) {
            std::vector<Variable> squares;
            for (const Variable& v : x) squares.push_back(v * v);
            return einsum(subscripts, squares);
          },
          std::move(shapes)};
}

}  // namespace

std::vector<GradientRow> einsum_rows() {
  return {
      row("einsum_reduce", "ij->ji", {{{2, 3}}, {{0, 3}}, {{1, 1}}}),
      row("einsum_reduce", "ij->", {{{2, 3}}, {{0, 3}}}),
      row("einsum_reduce", "ii->i", {{{3, 3}}, {{1, 1}}, {{0, 0}}}),
      row("einsum_reduce", "ii", {{{3, 3}}, {{1, 1}}}),
      row("einsum_reduce", "iij->ji", {{{2, 2, 3}}}),
      row("einsum_reduce", "iji->j", {{{2, 3, 2}}}),
      row("einsum_reduce", "...ii->...", {{{3, 3}}, {{2, 3, 3}}, {{2, 1, 2, 2}}}),
      row("einsum_spread", "i...->...", {{{3}}, {{3, 2}}, {{3, 2, 2}}}),
      row("einsum_spread", "->", {{{}}}),
      // In the second derivative, as the gradient of a reduction whose own gradient depends on x.
      {"einsum_spread",
       [](Inputs x) {
         const Variable sums = einsum("ij->i", {x[0]});
         return sums * sums;
       },
       {{{2, 3}}}},
      row("einsum", "ij,jk->ik", {{{2, 3}, {3, 4}}, {{2, 0}, {0, 3}}, {{1, 1}, {1, 1}}}),
      row("einsum", "ij,kj->ki", {{{2, 3}, {4, 3}}}),
      row("einsum", "bij,bjk->bik", {{{2, 2, 3}, {2, 3, 2}}}),
      row("einsum", "bqhd,bkhd->bhqk", {{{2, 3, 2, 2}, {2, 2, 2, 2}}}),
      row("einsum", "i,i->", {{{3}, {3}}, {{0}, {0}}}),
      row("einsum", "i,j->ji", {{{3}, {2}}}),
      row("einsum", "ij,ij->ij", {{{2, 3}, {2, 3}}}),
      row("einsum", "ij,ij->i", {{{2, 3}, {2, 3}}}),
      row("einsum", "ii,ij->j", {{{2, 2}, {2, 3}}}),
      row("einsum", "ij,k->k", {{{2, 3}, {2}}}),
      row("einsum", ",ij->ij", {{{}, {2, 3}}}),
      row("einsum", "...ij,...jk->...ik",
          {{{2, 3}, {3, 2}}, {{2, 2, 3}, {3, 2}}, {{2, 1, 2, 2}, {3, 2, 2}}, {{1, 2, 2}, {0, 2, 2}}}),
      row("einsum", "...i,...i->i", {{{1, 3}, {2, 3}}, {{2, 3}, {1, 3}}, {{3}, {2, 3}}}),
      row("einsum", "ij,jk,kl->il", {{{2, 3}, {3, 2}, {2, 3}}}),
      row("einsum", "bi,bj,ijk->bk", {{{2, 2}, {2, 3}, {2, 3, 2}}}),
      {"einsum",
       [](Inputs x) {
         return einsum("ij,jk,ki->", {x[0], x[0], x[0]});
       },
       {{{3, 3}}, {{1, 1}}}},
  };
}

}  // namespace gradus::test

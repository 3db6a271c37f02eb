#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "autograd/gradients.hpp"

namespace gradus::optim {

/// Adds up the gradients of the pieces of a batch, in the order of a binary tree: of eight pieces
/// ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)). So the sum has the same bits whether one process adds all of
/// them, or 2, 4 or 8 add those of a part of the tree each, and then add what they have in the same order
/// (distributed/gradient_sum.hpp).
///
///   GradientTree tree;
///   for (const Batch& piece : pieces) tree.add(gradients_of(piece));
///   Gradients sum = tree.take();
class GradientTree {
 public:
  /// The next piece.
  void add(Gradients piece);
  std::int64_t pieces() const { return pieces_; }
  /// The sum of all pieces, of which there are a power of two; throws ArgumentError where there are not. The
  /// tree is then empty.
  Gradients take();

  /// For a last piece whose gradients come one by one (BackwardOptions::ready): makes of one of them the sum
  /// over all pieces, which is not to be added again. Throws ArgumentError unless there is one piece less
  /// than a power of two.
  void complete(Gradient& of_last);
  /// What `complete` was not asked for: the sums of those parameters alone, `of_last` being what the last
  /// piece has of them. The tree is then empty.
  Gradients take_rest(Gradients of_last);

 private:
  struct Part {
    std::int64_t pieces;
    Gradients sum;
  };
  std::vector<Part> parts_;  // each at most half as many pieces as the one before it
  std::int64_t pieces_ = 0;
  std::set<Place> completed_;
};

}  // namespace gradus::optim

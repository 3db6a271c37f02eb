#pragma once

#include "distributed/communicator.hpp"

namespace gradus::test {

/// The processes that this test program runs in, kept until it ends.
inline const distributed::Communicator& world() {
  static const distributed::Communicator all = distributed::Communicator::world();
  return all;
}

}  // namespace gradus::test

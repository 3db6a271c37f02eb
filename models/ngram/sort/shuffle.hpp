#pragma once

// Internal: not part of the public interface.

#include <span>

#include "models/ngram/sort/record_store.hpp"
#include "models/team.hpp"

namespace gradus::models::ngram {

/// Which member of a team works on a bucket. Neighbours are of different members, as they are wanted one
/// after the other in the end.
inline int owner_of(std::size_t bucket, const Team& team) {
  return static_cast<int>(bucket % static_cast<std::size_t>(team.size()));
}

/// Sends the records of each bucket to the member that it belongs to, so that the stores hold all members'
/// records of the own buckets and no others. Some megabytes are under way at a time; the pool's bound holds.
/// The stores must be alike in all members.
void shuffle(std::span<RecordStore> stores, Team& team);

}  // namespace gradus::models::ngram

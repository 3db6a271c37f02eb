#include "models/ngram/sort/shuffle.hpp"

#include <algorithm>

#include "models/ngram/sort/temporary_file.hpp"
#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

namespace {

/// What comes before the packed records of a chunk.
struct Header {
  std::uint32_t store, bucket, records, packed;
};

/// Goes through the chunks of the buckets of one member.
class Leaving {
 public:
  Leaving(std::span<RecordStore> stores, const Team& team, int to) : stores_(stores), team_(team), to_(to) {}

  /// Appends chunks until there are about this many bytes; false when there are no more.
  bool take(Team::Bytes& out, std::size_t bytes) {
    for (; store_ < stores_.size(); ++store_, bucket_ = 0) {
      RecordStore& store = stores_[store_];
      for (; bucket_ < store.buckets(); ++bucket_, chunk_ = 0) {
        if (owner_of(bucket_, team_) != to_) continue;
        for (; chunk_ < store.chunks(bucket_); ++chunk_) {
          if (out.size() >= bytes) return true;
          pack(store, out);
        }
        store.clear(bucket_);
      }
    }
    return false;
  }

 private:
  void pack(RecordStore& store, Team::Bytes& out) {
    const std::span<const std::uint64_t> records = store.take_chunk(bucket_, chunk_, buffer_);
    pack_columns(records, store.width(), packed_);
    put(out, Header{static_cast<std::uint32_t>(store_), static_cast<std::uint32_t>(bucket_),
                    static_cast<std::uint32_t>(records.size() / store.width()),
                    static_cast<std::uint32_t>(packed_.size())});
    put(out, std::span<const unsigned char>(packed_));
  }

  std::span<RecordStore> stores_;
  const Team& team_;
  int to_;
  std::size_t store_ = 0, bucket_ = 0, chunk_ = 0;
  WordBuffer buffer_;
  std::vector<unsigned char> packed_;
};

void arrive(std::span<RecordStore> stores, std::span<const std::byte> bytes) {
  TeamReader reader(bytes);
  std::vector<unsigned char> packed;
  while (!reader.at_end()) {
    const auto header = reader.get<Header>();
    packed.resize(header.packed);
    reader.get(std::span(packed));
    bool sound = header.store < stores.size() && header.bucket < stores[header.store].buckets();
    if (sound) {
      RecordStore& store = stores[header.store];
      const std::size_t words = header.records * store.width();
      SegmentPool::Segment segment = store.pool().acquire();
      sound = words <= store.pool().segment_words() &&
              unpack_columns(packed, store.width(), {segment.get(), words});
      if (sound) store.append(header.bucket, std::move(segment), header.records);
    }
    if (!sound) fail<DataError>("another process of the team sent records that do not fit");
  }
}

}  // namespace

void shuffle(std::span<RecordStore> stores, Team& team) {
  if (team.alone()) return;
  constexpr std::size_t under_way = std::size_t{4} << 20;
  const auto members = static_cast<std::size_t>(team.size());
  std::vector<Leaving> leaving;
  for (int to = 0; to < team.size(); ++to) leaving.emplace_back(stores, team, to);
  std::vector<Team::Bytes> out(members);
  std::vector<std::span<const std::byte>> to_each(members);
  for (bool more = true; more;) {
    more = false;
    for (std::size_t to = 0; to < members; ++to) {
      out[to].assign(1, std::byte{0});
      if (static_cast<int>(to) != team.rank()) more |= leaving[to].take(out[to], under_way / members);
    }
    // The first byte says whether there is more to come; all go on as long as there is from any of them.
    for (std::size_t to = 0; to < members; ++to) {
      out[to][0] = std::byte{more};
      to_each[to] = out[to];
    }
    for (const Team::Bytes& came : team.exchange(to_each)) {
      more |= came.at(0) != std::byte{0};
      arrive(stores, std::span(came).subspan(1));
    }
  }
}

}  // namespace gradus::models::ngram

#include "tensor/files/zip.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "tensor/support/error.hpp"

namespace gradus::files {

// The layout is that of PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (central header), 4.3.14
// to 4.3.16 (the ends), 4.5.3 (the extra field of zip64).

namespace {

constexpr std::string_view local_magic = "PK\3\4", central_magic = "PK\1\2", end_magic = "PK\5\6",
                           end64_magic = "PK\6\6", locator_magic = "PK\6\7";
constexpr std::uint64_t in_zip64 = 0xFFFFFFFF,
                        in_zip64_short = 0xFFFF;  // stands for a number in the extra field
constexpr std::size_t piece_size = 1 << 16;

std::uint32_t crc_of(std::uint32_t crc, std::string_view bytes) {
  if (bytes.empty()) return crc;  // zlib begins anew where there is no pointer
  return static_cast<std::uint32_t>(
      ::crc32_z(crc, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

/// An entry that is stored as it is.
class StoredEntry : public StoredBytes {
 public:
  StoredEntry(std::string name, SharedBytes zip, std::uint64_t begin, const ZipReader::Entry& entry,
              bool checked)
      : StoredBytes(std::move(name)), zip_(std::move(zip)), begin_(begin), entry_(entry), checked_(checked) {}
  std::uint64_t size() const override { return entry_.size; }
  void read(std::uint64_t begin, std::uint64_t length, TakeBytes take) const override {
    if (!checked_ || begin + length < entry_.size) return zip_->read(begin_ + begin, length, take);
    std::uint32_t crc = 0;
    zip_->read(begin_, begin, [&](std::string_view piece) { crc = crc_of(crc, piece); });
    zip_->read(begin_ + begin, length, [&](std::string_view piece) {
      crc = crc_of(crc, piece);
      take(piece);
    });
    if (crc != entry_.crc) fail<DataError>("{}: its checksum is another; the file is damaged", name());
  }

 private:
  SharedBytes zip_;
  std::uint64_t begin_;
  ZipReader::Entry entry_;
  bool checked_;
};

/// zlib's state while one entry is inflated.
class Inflation {
 public:
  Inflation(const std::string& name, const StoredBytes& zip, std::uint64_t begin, std::uint64_t packed)
      : name_(name), zip_(zip), at_(begin), left_(packed) {
    if (::inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  Inflation(const Inflation&) = delete;
  Inflation& operator=(const Inflation&) = delete;
  ~Inflation() { ::inflateEnd(&stream_); }

  /// Fills all of a buffer.
  void fill(char* to, std::size_t count) {
    stream_.next_out = reinterpret_cast<unsigned char*>(to);
    stream_.avail_out = static_cast<uInt>(count);
    while (stream_.avail_out > 0) {
      if (stream_.avail_in == 0 && left_ > 0) {
        input_ = zip_.bytes(at_, std::min<std::uint64_t>(left_, piece_size));
        at_ += input_.size();
        left_ -= input_.size();
        stream_.next_in = reinterpret_cast<unsigned char*>(input_.data());
        stream_.avail_in = static_cast<uInt>(input_.size());
      }
      const uInt before = stream_.avail_out;
      const int result = ::inflate(&stream_, Z_NO_FLUSH);
      const bool stuck = stream_.avail_out == before && stream_.avail_in == 0 && left_ == 0;
      if ((result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END) || stuck ||
          (result == Z_STREAM_END && stream_.avail_out > 0)) {
        fail<DataError>("{}: its compressed bytes are damaged or cut short", name_);
      }
    }
  }

 private:
  const std::string& name_;
  const StoredBytes& zip_;
  std::uint64_t at_, left_;
  std::string input_;
  z_stream stream_{};
};

class DeflatedEntry : public StoredBytes {
 public:
  DeflatedEntry(std::string name, SharedBytes zip, std::uint64_t begin, const ZipReader::Entry& entry,
                bool checked)
      : StoredBytes(std::move(name)), zip_(std::move(zip)), begin_(begin), entry_(entry), checked_(checked) {}
  std::uint64_t size() const override { return entry_.size; }
  void read(std::uint64_t begin, std::uint64_t length, TakeBytes take) const override {
    Inflation inflation(name(), *zip_, begin_, entry_.packed);
    std::string piece(std::min<std::uint64_t>(begin + length, piece_size), '\0');
    std::uint32_t crc = 0;
    const auto next = [&](std::uint64_t left) {
      const std::size_t count = std::min<std::uint64_t>(left, piece.size());
      inflation.fill(piece.data(), count);
      crc = crc_of(crc, {piece.data(), count});
      return count;
    };
    for (std::uint64_t done = 0; done < begin;) done += next(begin - done);
    for (std::uint64_t done = 0; done < length;) {
      const std::size_t count = next(length - done);
      take({piece.data(), count});
      done += count;
    }
    if (checked_ && begin + length == entry_.size && crc != entry_.crc)
      fail<DataError>("{}: its checksum is another; the file is damaged", name());
  }

 private:
  SharedBytes zip_;
  std::uint64_t begin_;
  ZipReader::Entry entry_;
  bool checked_;
};

/// Takes the sizes that stand in the extra field of zip64, in the order of the fields that refer to it.
void read_zip64(std::string_view extra, std::initializer_list<std::uint64_t*> fields) {
  for (std::size_t at = 0; at + 4 <= extra.size();) {
    const std::uint64_t id = little_endian(extra, at, 2), length = little_endian(extra, at + 2, 2);
    at += 4;
    if (length > extra.size() - at) return;
    if (id == 1) {
      std::size_t from = at;
      for (std::uint64_t* const field : fields) {
        if (*field != in_zip64 || from + 8 > at + length) continue;
        *field = little_endian(extra, from, 8);
        from += 8;
      }
      return;
    }
    at += length;
  }
}

}  // namespace

bool ZipReader::is_zip(std::string_view first_bytes) {
  return first_bytes.starts_with(local_magic) || first_bytes.starts_with(end_magic);
}

ZipReader::ZipReader(SharedBytes bytes) : bytes_(std::move(bytes)) {
  constexpr std::uint64_t end_size = 22, locator_size = 20, end64_size = 56, most_comment = 65535;
  const std::uint64_t size = bytes_->size();
  const std::uint64_t looked_at = std::min(size, end_size + most_comment + locator_size);
  const std::string tail = bytes_->bytes(size - looked_at, looked_at);
  const std::size_t end = tail.size() < end_size ? tail.npos : tail.rfind(end_magic, tail.size() - end_size);
  if (end == tail.npos)
    fail<DataError>("{}: a zip file without its end, which was cut off; write it again", name());
  std::uint64_t count = little_endian(tail, end + 10, 2), length = little_endian(tail, end + 12, 4),
                begin = little_endian(tail, end + 16, 4);
  if (little_endian(tail, end + 4, 2) == 0 &&
      (count == in_zip64_short || length == in_zip64 || begin == in_zip64) && end >= locator_size &&
      tail.substr(end - locator_size, 4) == locator_magic) {
    const std::string wide = bytes_->bytes(little_endian(tail, end - locator_size + 8, 8), end64_size);
    if (wide.size() < end64_size || !wide.starts_with(end64_magic))
      fail<DataError>("{}: its zip64 end is not where it should be; the file is damaged", name());
    count = little_endian(wide, 32, 8);
    length = little_endian(wide, 40, 8);
    begin = little_endian(wide, 48, 8);
  }
  if (begin > size || length > size - begin)
    fail<DataError>("{}: its list of entries reaches past its end; the file is damaged", name());
  read_directory(begin, length, count);
}

void ZipReader::read_directory(std::uint64_t begin, std::uint64_t size, std::uint64_t count) {
  constexpr std::size_t header_size = 46;
  const std::string list = bytes_->bytes(begin, size);
  std::size_t at = 0;
  std::uint64_t taken = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view rest = std::string_view(list).substr(at);
    if (rest.size() < header_size || !rest.starts_with(central_magic))
      fail<DataError>("{}: its list of entries is damaged at entry {}", name(), i);
    const std::size_t name_size = little_endian(rest, 28, 2), extra_size = little_endian(rest, 30, 2),
                      whole = header_size + name_size + extra_size + little_endian(rest, 32, 2);
    if (rest.size() < whole) fail<DataError>("{}: its list of entries is damaged at entry {}", name(), i);
    const std::string entry_name(rest.substr(header_size, name_size));
    Entry entry{.header = little_endian(rest, 42, 4),
                .packed = little_endian(rest, 20, 4),
                .size = little_endian(rest, 24, 4),
                .crc = static_cast<std::uint32_t>(little_endian(rest, 16, 4))};
    read_zip64(rest.substr(header_size + name_size, extra_size), {&entry.size, &entry.packed, &entry.header});
    const std::uint64_t method = little_endian(rest, 10, 2);
    if (method != 0 && method != 8)
      fail<DataError>("{}: the entry {} is packed by method {}; stored and deflated ones are read", name(),
                      entry_name, method);
    if ((little_endian(rest, 8, 2) & 1) != 0)
      fail<DataError>("{}: the entry {} is encrypted", name(), entry_name);
    entry.deflated = method == 8;
    // Entries that share bytes could ask for any amount of memory and time.
    constexpr std::uint64_t local_size = 30;
    if (entry.packed > bytes_->size() || (taken += local_size + name_size + entry.packed) > bytes_->size())
      fail<DataError>("{}: the entry {} lies over others or past the end; the file is damaged", name(),
                      entry_name);
    if (!entries_.emplace(entry_name, entry).second)
      fail<DataError>("{}: it has two entries {}; the file is damaged", name(), entry_name);
    at += whole;
  }
}

SharedBytes ZipReader::open(const std::string& entry_name, bool checked) const {
  constexpr std::uint64_t header_size = 30, most_ratio = 1032;  // deflate's: 258 bytes in 2 bits
  const Entry& entry = entries_.at(entry_name);
  const std::string header = bytes_->bytes(entry.header, header_size);
  const std::string what = name() + ": " + entry_name;
  if (header.size() < header_size || !header.starts_with(local_magic))
    fail<DataError>("{} is not where the list of entries says; the file is damaged", what);
  const std::uint64_t begin =
      entry.header + header_size + little_endian(header, 26, 2) + little_endian(header, 28, 2);
  if (begin > bytes_->size() || entry.packed > bytes_->size() - begin)
    fail<DataError>("{} reaches past the end of the file, which was cut short", what);
  if (!entry.deflated) {
    if (entry.packed != entry.size)
      fail<DataError>("{} is stored, but in another size than its own; the file is damaged", what);
    return std::make_shared<StoredEntry>(what, bytes_, begin, entry, checked);
  }
  if (entry.size / most_ratio > entry.packed)
    fail<DataError>("{} is to be {} bytes, more than {} compressed ones can hold; the file is damaged", what,
                    entry.size, entry.packed);
  return std::make_shared<DeflatedEntry>(what, bytes_, begin, entry, checked);
}

namespace {

std::string deflated(FunctionRef<void(TakeBytes)> read) {
  z_stream stream{};
  if (::deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  // Also where `read` throws.
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, ::deflateEnd);
  std::string out;
  std::vector<unsigned char> buffer(piece_size);
  const auto run = [&](int flush) {
    do {
      stream.next_out = buffer.data();
      stream.avail_out = static_cast<uInt>(buffer.size());
      ::deflate(&stream, flush);
      out.append(reinterpret_cast<const char*>(buffer.data()), buffer.size() - stream.avail_out);
    } while (stream.avail_out == 0);
  };
  read([&](std::string_view piece) {
    for (std::size_t done = 0; done < piece.size();) {
      const std::size_t count = std::min<std::size_t>(piece.size() - done, 1U << 30);
      // zlib does not write to its input.
      stream.next_in =
          const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(piece.data() + done));
      stream.avail_in = static_cast<uInt>(count);
      run(Z_NO_FLUSH);
      done += count;
    }
  });
  run(Z_FINISH);
  return out;
}

}  // namespace

void ZipWriter::add(const std::string& name, std::uint64_t size, FunctionRef<void(TakeBytes)> read,
                    EntryOptions options) {
  constexpr std::uint64_t header_size = 30, alignment = 64;
  if (name.size() > 0xFFFF)
    fail<ArgumentError>("an array's name is of {} bytes; a zip file holds names of up to 65535", name.size());
  std::uint32_t crc = 0;
  read([&](std::string_view piece) { crc = crc_of(crc, piece); });
  const std::string packed = options.deflated ? deflated(read) : std::string();
  const std::uint64_t packed_size = options.deflated ? packed.size() : size, header_at = sink_.position();
  const bool wide_sizes = size >= in_zip64 || packed_size >= in_zip64, wide_place = header_at >= in_zip64;

  // The fields that the local and the central header share, from "version needed" to the lengths.
  std::string common;
  append_little_endian(common, wide_sizes || wide_place ? 45 : 20, 2);
  append_little_endian(common, 0x800, 2);  // names are UTF-8
  append_little_endian(common, options.deflated ? 8 : 0, 2);
  append_little_endian(common, 0x00210000, 4);  // 1980-01-01, so that the same content gives the same bytes
  append_little_endian(common, crc, 4);
  append_little_endian(common, wide_sizes ? in_zip64 : packed_size, 4);
  append_little_endian(common, wide_sizes ? in_zip64 : size, 4);
  append_little_endian(common, name.size(), 2);

  std::string sizes;
  if (wide_sizes) {
    append_little_endian(sizes, size, 8);
    append_little_endian(sizes, packed_size, 8);
  }
  const auto zip64 = [](const std::string& fields) {
    std::string out;
    if (fields.empty()) return out;
    append_little_endian(out, 1, 2);
    append_little_endian(out, fields.size(), 2);
    return out + fields;
  };
  std::string extra = zip64(sizes);
  if (options.aligned) {
    const std::uint64_t begin = header_at + header_size + name.size() + extra.size() + 4;
    const std::uint64_t padding = (alignment - begin % alignment) % alignment;
    extra += "FB";  // as PyTorch names its padding
    append_little_endian(extra, padding, 2);
    extra.append(padding, 'Z');
  }
  std::string local(local_magic);
  local += common;
  append_little_endian(local, extra.size(), 2);
  sink_.write(local + name + extra);
  if (options.deflated) {
    sink_.write(packed);
  } else {
    read([&](std::string_view piece) { sink_.write(piece); });
  }

  if (wide_place) append_little_endian(sizes, header_at, 8);
  extra = zip64(sizes);
  directory_ += central_magic;
  append_little_endian(directory_, 45, 2);
  directory_ += common;
  append_little_endian(directory_, extra.size(), 2);
  directory_.append(10, '\0');  // no comment, volume 0, no attributes
  append_little_endian(directory_, wide_place ? in_zip64 : header_at, 4);
  directory_ += name + extra;
  ++count_;
}

void ZipWriter::add(const std::string& name, std::string_view bytes, EntryOptions options) {
  add(
      name, bytes.size(), [&](TakeBytes take) { take(bytes); }, options);
}

void ZipWriter::finish() {
  const std::uint64_t begin = sink_.position(), size = directory_.size();
  const bool wide = begin >= in_zip64 || size >= in_zip64 || count_ >= in_zip64_short;
  std::string end;
  if (wide) {
    end += end64_magic;
    append_little_endian(end, 44, 8);  // what follows
    append_little_endian(end, 45, 2);
    append_little_endian(end, 45, 2);
    append_little_endian(end, 0, 8);  // volumes
    append_little_endian(end, count_, 8);
    append_little_endian(end, count_, 8);
    append_little_endian(end, size, 8);
    append_little_endian(end, begin, 8);
    end += locator_magic;
    append_little_endian(end, 0, 4);
    append_little_endian(end, begin + size, 8);
    append_little_endian(end, 1, 4);
  }
  end += end_magic;
  append_little_endian(end, 0, 4);
  for (int i = 0; i < 2; ++i) append_little_endian(end, wide ? in_zip64_short : count_, 2);
  append_little_endian(end, wide ? in_zip64 : size, 4);
  append_little_endian(end, wide ? in_zip64 : begin, 4);
  append_little_endian(end, 0, 2);
  sink_.write(directory_ + end);
}

}  // namespace gradus::files

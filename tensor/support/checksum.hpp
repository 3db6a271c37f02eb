#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gradus {

/// A CRC-32 (ISO 3309, zlib's), which finds every damage of up to 32 bits in a row and others but one in four
/// billion.
class Checksum {
 public:
  Checksum& add(std::string_view bytes);
  std::uint32_t value() const { return value_; }
  /// Eight hexadecimal digits.
  std::string text() const;

 private:
  std::uint32_t value_ = 0;
};

}  // namespace gradus

#include "tensor/support/checksum.hpp"

#include <fmt/format.h>
#include <zlib.h>

namespace gradus {

Checksum& Checksum::add(std::string_view bytes) {
  value_ = static_cast<std::uint32_t>(
      ::crc32_z(value_, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
  return *this;
}

std::string Checksum::text() const {
  return fmt::format("{:08x}", value_);
}

}  // namespace gradus

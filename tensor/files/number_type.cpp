#include "tensor/files/number_type.hpp"

#include "tensor/files/numbers.hpp"

namespace gradus {

std::size_t bytes_of(NumberType type) {
  return files::visit_number(type, [](auto number) { return sizeof number; });
}

const char* name_of(NumberType type) {
  constexpr std::array<const char*, all_number_types.size()> names{
      "f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8", "u64", "u32", "u16", "u8", "bool"};
  return names[static_cast<std::size_t>(type)];
}

}  // namespace gradus

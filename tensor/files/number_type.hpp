#pragma once

#include <array>
#include <cstdint>

#include "tensor/storage.hpp"

namespace gradus {

/// The types of numbers that files of arrays hold. Tensors are of f32 and f64: the others are converted when
/// a file is read, and on request when it is written.
enum class NumberType : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, boolean };

inline constexpr std::array all_number_types{
    NumberType::f64, NumberType::f32, NumberType::f16,    NumberType::bf16, NumberType::i64,
    NumberType::i32, NumberType::i16, NumberType::i8,     NumberType::u64,  NumberType::u32,
    NumberType::u16, NumberType::u8,  NumberType::boolean};

/// The bytes that one number takes in a file.
std::size_t bytes_of(NumberType type);
/// "f64", "bf16", "u8", "bool" and so on.
const char* name_of(NumberType type);
/// True for f64, f32, f16 and bf16.
constexpr bool is_floating(NumberType type) {
  return type <= NumberType::bf16;
}
constexpr NumberType number_type_of(Dtype dtype) {
  return dtype == Dtype::f32 ? NumberType::f32 : NumberType::f64;
}

}  // namespace gradus

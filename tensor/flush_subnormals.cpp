#include "tensor/flush_subnormals.hpp"

#include "tensor/support/float_mode.hpp"

namespace gradus {

FlushSubnormals::FlushSubnormals() : before_(detail::float_mode()) {
  detail::set_float_mode(before_ | detail::flush_mode);
}
FlushSubnormals::~FlushSubnormals() {
  detail::set_float_mode(before_);
}

}  // namespace gradus

#include "autograd/located.hpp"

namespace gradus {

void rethrow_after(const std::string& prefix) {
  try {
    throw;
  } catch (const ShapeError& error) {
    throw ShapeError(prefix + error.what());
  } catch (const DtypeError& error) {
    throw DtypeError(prefix + error.what());
  } catch (const TapeError& error) {
    throw TapeError(prefix + error.what());
  } catch (const ArgumentError& error) {
    throw ArgumentError(prefix + error.what());
  } catch (const DataError& error) {
    throw DataError(prefix + error.what());
  } catch (const NumericError& error) {
    throw NumericError(prefix + error.what());
  } catch (const Error& error) {
    throw Error(prefix + error.what());
  }
}

}  // namespace gradus

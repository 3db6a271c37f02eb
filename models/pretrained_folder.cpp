#include "models/pretrained_folder.hpp"

#include "tensor/support/write_file.hpp"

namespace gradus::models::detail {

namespace fs = std::filesystem;

StoredArrays open_weights(const fs::path& folder) {
  const fs::path index = folder / "model.safetensors.index.json";
  return open_arrays(fs::exists(index) ? index : folder / "model.safetensors");
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail<DataError>("{}: cannot be made a folder ({})", folder.string(), error.message());
}

void write_json(const fs::path& file, const nlohmann::json& content) {
  write_file(file, content.dump(2) + "\n");
}

}  // namespace gradus::models::detail

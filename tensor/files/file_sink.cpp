#include "tensor/files/file_sink.hpp"

#include <unistd.h>

#include <cerrno>

#include "tensor/support/standard_output.hpp"

namespace gradus::files {

FileSink::FileSink(const std::filesystem::path& path) : path_(path) {
  if (!is_standard_output(path) && !is_special(path)) replacement_.emplace(path);
}

void FileSink::write(std::string_view bytes) {
  position_ += bytes.size();
  if (!replacement_) {
    held_ += bytes;
    return;
  }
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(replacement_->descriptor(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) replacement_->fail_writing(errno);
    done += static_cast<std::size_t>(count);
  }
}

void FileSink::commit() {
  if (replacement_) {
    replacement_->commit();
  } else if (is_standard_output(path_)) {
    write_standard_output(held_);
  } else {
    write_file(path_, held_);
  }
}

}  // namespace gradus::files

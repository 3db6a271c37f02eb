#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace gradus::cli {

/// Sockets that listen at all addresses that a name has on this machine, at one port; 0 becomes one that is
/// free. They accept without waiting. Throws DataError where the port cannot be had, also at one of the
/// addresses alone.
std::vector<int> listen_at(const std::string& host, int& port);

/// As many connections as the system lets a process have, of those that are wanted, after asking for more.
std::size_t possible_connections(std::size_t wanted);

}  // namespace gradus::cli

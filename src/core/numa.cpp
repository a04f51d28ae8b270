#include "gantry/core/numa.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fstream>
#include <optional>

namespace gantry {
namespace {

/// "0000:1b:00.0", the name of its folder.
std::string folder_of(std::string_view pci_bus_id) {
  constexpr std::size_t kLength = 12;
  std::string name(pci_bus_id.substr(pci_bus_id.size() - std::min(pci_bus_id.size(), kLength)));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

std::optional<int> take_number(std::string_view& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number < 0 || number >= CPU_SETSIZE) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::vector<int> parse_cpu_list(std::string_view text) {
  std::vector<int> cpus;
  do {
    const auto first = take_number(text);
    if (!first) return {};
    const auto last = take(text, '-') ? take_number(text) : first;
    if (!last) return {};
    for (int cpu = *first; cpu <= *last; ++cpu) cpus.push_back(cpu);
  } while (take(text, ','));
  return cpus;
}

std::string cpu_list(const std::vector<int>& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t end = i + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(cpus[i]);
    if (end - i > 1) text += "-" + std::to_string(cpus[end - 1]);
    i = end;
  }
  return text;
}

NearCpus near_cpus(std::string_view pci_bus_id, const std::filesystem::path& sys) {
  const std::filesystem::path device = sys / "bus/pci/devices" / folder_of(pci_bus_id);
  NearCpus near;
  if (!(std::ifstream{device / "numa_node"} >> near.node) || near.node < 0) return {};
  std::string list;
  std::ifstream{device / "local_cpulist"} >> list;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return near;
  for (const int cpu : parse_cpu_list(list))
    if (CPU_ISSET(cpu, &allowed)) near.cpus.push_back(cpu);
  if (near.cpus.size() == static_cast<std::size_t>(CPU_COUNT(&allowed))) near.cpus.clear();  // all are
  return near;
}

StayNear::StayNear(const NearCpus& where) noexcept {
  if (where.cpus.empty() || sched_getaffinity(0, sizeof before_, &before_) != 0) return;
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  for (const int cpu : where.cpus) CPU_SET(cpu, &wanted);
  moved_ = sched_setaffinity(0, sizeof wanted, &wanted) == 0;
}

StayNear::~StayNear() {
  if (moved_) sched_setaffinity(0, sizeof before_, &before_);
}

}  // namespace gantry

#include "gantry/scheduler/sim/policies.hpp"

#include <fmt/format.h>

#include <array>

#include "gantry/core/errors.hpp"
#include "gantry/scheduler/gantry_policy.hpp"

namespace gantry::scheduler::sim {

namespace {

struct Named {
  const char* name;
  std::unique_ptr<Policy> (*make)();
};

const std::array kPolicies{
    Named{"gantry", []() -> std::unique_ptr<Policy> { return std::make_unique<GantryPolicy>(); }},
    Named{"fixed_timeout", [] { return make_fixed_timeout(); }},
    Named{"triton", [] { return make_triton(); }},
    Named{"clockwork", [] { return make_clockwork(); }},
    Named{"nexus", [] { return make_nexus(); }},
    Named{"lockstep", [] { return make_lockstep(); }},
};

}  // namespace

const std::vector<std::string>& policy_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Named& policy : kPolicies) all.emplace_back(policy.name);
    return all;
  }();
  return names;
}

std::unique_ptr<Policy> make_policy(const std::string& name) {
  for (const Named& policy : kPolicies) {
    if (name == policy.name) return policy.make();
  }
  throw ConfigError(fmt::format("'{}' is no policy; allowed: {}", name, fmt::join(policy_names(), ", ")));
}

}  // namespace gantry::scheduler::sim

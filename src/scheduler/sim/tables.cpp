// A comparison as text, Markdown and JSON.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "gantry/scheduler/sim/comparison.hpp"

namespace gantry::scheduler::sim {

namespace {

constexpr double kPercent = 100;
constexpr double kUrgentMisses = 0.001;

bool has_urgent(const Comparison& comparison) {
  return comparison.scenario.urgent_cap;
}

std::string join_row(const std::vector<std::string>& cells) {
  return fmt::format("| {} |\n", fmt::join(cells, " | "));
}

std::string rule(std::size_t text_columns, std::size_t number_columns) {
  std::string line;
  for (std::size_t i = 0; i < text_columns; ++i) line += "| --- ";
  for (std::size_t i = 0; i < number_columns; ++i) line += "| ---: ";
  return line + "|\n";
}

/// Gives up urgent frames: what it does with the time is no better schedule.
bool forsakes_urgent(const PolicyResult& policy) {
  return policy.miss_rate(true) > kUrgentMisses;
}

/// In-time share of every policy and the bounds. The best of those that keep their urgent frames is bold.
std::string goodput_table(const std::vector<Comparison>& comparisons) {
  const std::vector<PolicyResult>& policies = comparisons.front().policies;
  std::vector<std::string> head{"scenario", "load %"};
  for (const PolicyResult& policy : policies) head.push_back(policy.policy);
  head.insert(head.end(), {"bound", "under the urgent cap", policies.front().policy + " / bound"});
  std::string out = join_row(head) + rule(1, head.size() - 1);
  for (const Comparison& comparison : comparisons) {
    double best = 0;
    for (const PolicyResult& policy : comparison.policies) {
      if (!forsakes_urgent(policy)) best = std::max(best, policy.goodput());
    }
    std::vector<std::string> row{comparison.scenario.full_name(), fmt::format("{:.0f}", kPercent * comparison.load)};
    for (const PolicyResult& policy : comparison.policies) {
      const double goodput = policy.goodput();
      const std::string text = fmt::format("{:.2f}", kPercent * goodput);
      const char* format = forsakes_urgent(policy) ? "{} †" : (goodput >= best ? "**{}**" : "{}");
      row.push_back(fmt::format(fmt::runtime(format), text));
    }
    row.push_back(fmt::format("{:.2f}", kPercent * comparison.bound));
    row.push_back(has_urgent(comparison) ? fmt::format("{:.2f}", kPercent * comparison.capped_bound) : "");
    row.push_back(fmt::format("{:.2f}", kPercent * comparison.policies.front().goodput() / comparison.capped_bound));
    out += join_row(row);
  }
  return out +
         "\n† misses more than 0.1 % of its urgent frames, and spends their time on others. The last column is over "
         "the "
         "bound under the urgent cap where there is one.\n";
}

/// One figure of every policy, where `shown` says that it means something.
template <typename Shown, typename Figure>
std::string figure_table(const std::vector<Comparison>& comparisons, const Shown& shown, const Figure& figure) {
  std::vector<std::string> head{"scenario"};
  for (const PolicyResult& policy : comparisons.front().policies) head.push_back(policy.policy);
  std::string out = join_row(head) + rule(1, head.size() - 1);
  for (const Comparison& comparison : comparisons) {
    if (!shown(comparison)) continue;
    std::vector<std::string> row{comparison.scenario.full_name()};
    for (const PolicyResult& policy : comparison.policies) row.push_back(figure(policy));
    out += join_row(row);
  }
  return out;
}

/// With the least that any schedule could have, where that is known.
std::string wait_table(const std::vector<Comparison>& comparisons) {
  const auto cell = [](double p50, double p99) { return fmt::format("{:.2f} / {:.2f}", p50, p99); };
  std::vector<std::string> head{"scenario"};
  for (const PolicyResult& policy : comparisons.front().policies) head.push_back(policy.policy);
  head.emplace_back("nobody below");
  std::string out = join_row(head) + rule(1, head.size() - 1);
  for (const Comparison& comparison : comparisons) {
    std::vector<std::string> row{comparison.scenario.full_name()};
    for (const PolicyResult& policy : comparison.policies)
      row.push_back(cell(policy.mean(&RunSummary::wait_p50_ms), policy.mean(&RunSummary::wait_p99_ms)));
    const bool bounded = comparison.least_wait_p50_ms >= 0;
    row.push_back(bounded ? cell(comparison.least_wait_p50_ms, comparison.least_wait_p99_ms) : "");
    out += join_row(row);
  }
  return out;
}

nlohmann::ordered_json to_json(const RunSummary& run) {
  nlohmann::ordered_json classes;
  for (const Priority priority : kAllPriorities) {
    const auto c = static_cast<std::size_t>(priority);
    if (run.offered[c] > 0) classes[to_string(priority)] = {{"offered", run.offered[c]}, {"in_time", run.in_time[c]}};
  }
  nlohmann::ordered_json outcomes;
  for (int o = 0; o < kOutcomeCount; ++o) {
    if (run.outcomes[o] > 0) outcomes[to_string(static_cast<Outcome>(o))] = run.outcomes[o];
  }
  return {{"seed", run.seed},
          {"goodput", run.goodput},
          {"classes", classes},
          {"outcomes", outcomes},
          {"queue_wait_ms", {{"p50", run.wait_p50_ms}, {"p99", run.wait_p99_ms}}},
          {"latency_ms", {{"p50", run.latency_p50_ms}, {"p99", run.latency_p99_ms}}},
          {"jain", run.jain},
          {"mean_batch", run.mean_batch},
          {"busy_share", run.busy_share},
          {"hopeless", run.hopeless},
          {"events", run.events},
          {"decisions", run.decisions}};
}

}  // namespace

std::string to_text(const std::vector<Comparison>& comparisons) {
  std::string out;
  for (const Comparison& comparison : comparisons) {
    fmt::format_to(std::back_inserter(out), "{}  load {:.0f} %  bound {:.2f} %", comparison.scenario.full_name(),
                   kPercent * comparison.load, kPercent * comparison.bound);
    if (has_urgent(comparison)) {
      fmt::format_to(std::back_inserter(out), "  under the urgent cap {:.2f} %", kPercent * comparison.capped_bound);
    }
    fmt::format_to(std::back_inserter(out), "\n  {:<14}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}{:>8}\n",
                   "policy", "in time %", "of bound", "urgent", "normal", "wait p50", "wait p99", "batch", "busy %",
                   "Jain");
    fmt::format_to(std::back_inserter(out), "  {:<14}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}{:>8}\n", "", "",
                   "%", "miss %", "miss %", "ms", "ms", "frames", "", "lowest");
    for (const PolicyResult& policy : comparison.policies) {
      fmt::format_to(std::back_inserter(out),
                     "  {:<14}{:>10.3f}{:>10.2f}{:>10.3f}{:>10.3f}{:>10.2f}{:>10.2f}{:>10.2f}{:>8.1f}{:>8.4f}\n",
                     policy.policy, kPercent * policy.goodput(), kPercent * policy.goodput() / comparison.capped_bound,
                     kPercent * policy.miss_rate(true), kPercent * policy.miss_rate(false),
                     policy.mean(&RunSummary::wait_p50_ms), policy.mean(&RunSummary::wait_p99_ms),
                     policy.mean(&RunSummary::mean_batch), kPercent * policy.mean(&RunSummary::busy_share),
                     policy.lowest_jain());
    }
    out += '\n';
  }
  return out;
}

std::string to_markdown(const std::vector<Comparison>& comparisons) {
  if (comparisons.empty()) return {};
  const auto overloaded = [](const Comparison& c) { return c.load > 1 || c.bound < 0.999; };
  std::string out = "### Frames answered inside their deadlines, %\n\n" + goodput_table(comparisons);
  out += "\n### Urgent frames that missed their deadline, % (of all seeds; worst seed in brackets)\n\n";
  out += figure_table(comparisons, has_urgent, [](const PolicyResult& policy) {
    return fmt::format("{:.3f} ({:.3f})", kPercent * policy.miss_rate(true),
                       kPercent * policy.worst_urgent_miss_rate());
  });
  out += "\n### Queue wait of the frames that ran, p50 / p99, ms\n\n" + wait_table(comparisons);
  out += "\n### Jain's index of normal cameras where not everything fits, lowest of all seeds\n\n";
  out += figure_table(comparisons, overloaded,
                      [](const PolicyResult& policy) { return fmt::format("{:.4f}", policy.lowest_jain()); });
  return out;
}

std::string to_json(const std::vector<Comparison>& comparisons) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Comparison& comparison : comparisons) {
    nlohmann::ordered_json policies = nlohmann::ordered_json::array();
    for (const PolicyResult& policy : comparison.policies) {
      nlohmann::ordered_json runs = nlohmann::ordered_json::array();
      for (const RunSummary& run : policy.runs) runs.push_back(to_json(run));
      policies.push_back({{"policy", policy.policy},
                          {"goodput", policy.goodput()},
                          {"urgent_miss_rate", policy.miss_rate(true)},
                          {"miss_rate", policy.miss_rate(false)},
                          {"lowest_jain", policy.lowest_jain()},
                          {"runs", runs}});
    }
    all.push_back({{"scenario", comparison.scenario.name},
                   {"setup", comparison.scenario.setup},
                   {"load", comparison.load},
                   {"bound", comparison.bound},
                   {"urgent_capped_bound", comparison.capped_bound},
                   {"policies", policies}});
  }
  return all.dump(2) + "\n";
}

}  // namespace gantry::scheduler::sim

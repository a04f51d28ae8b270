// What a newcomer does first: `gantry demo`, with the bundled detector, in its short form.
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>

#include "cli/program.hpp"
#include "server/raw_client.hpp"

namespace gantry {
namespace {

TEST(Demo, FindsTheCarsAndKeepsItsBooks) {
  const test::TemporaryFolder folder;
  test::Program demo({"demo", "--for", "20s", "--json", "--keep", folder / "kept"});
  ASSERT_EQ(demo.wait(std::chrono::seconds{240}), 0) << demo.err();
  const auto summary = nlohmann::json::parse(demo.out());

  const auto& frames = summary["frames"];
  std::uint64_t dropped = 0;
  for (const auto& [reason, count] : frames["dropped"].items()) dropped += count.get<std::uint64_t>();
  EXPECT_EQ(frames["in_flight"], 0);
  EXPECT_EQ(frames["received"].get<std::uint64_t>(),
            frames["published"].get<std::uint64_t>() + dropped)  // the late ones are among the published
      << frames.dump();
  EXPECT_GT(frames["published"].get<std::uint64_t>(), 20) << frames.dump();

  // The floor of the bundled detector at this junction, with room for the frames that a busy machine leaves out.
  for (const auto& row : summary["score"]["classes"])
    if (row["class"] == "car") {
      EXPECT_GT(row["objects"].get<int>(), 50);
      EXPECT_GT(row["recall"].get<double>(), 0.5) << row.dump();
    }
  EXPECT_GT(summary["score"]["precision"].get<double>(), 0.5) << summary["score"].dump();
  EXPECT_FALSE(test::read_text(folder / "kept/results.jsonl").empty());
}

TEST(Demo, ShowsItsWebPageToWhoeverHasTheLink) {
  test::Program demo({"demo", "--fps", "1", "--port", "0"});
  std::smatch link;
  std::string said;
  ASSERT_TRUE(demo.wait_for(
      [&] {
        said = demo.out();
        return std::regex_search(said, link, std::regex{"http://127\\.0\\.0\\.1:(\\d+)/#token=(\\S+)\n"});
      },
      std::chrono::seconds{120}))
      << demo.err();
  const auto get = [&](const std::string& path) {
    server::RawClient client(static_cast<std::uint16_t>(std::stoi(link[1])));
    client.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + link[2].str() + "\r\n\r\n");
    return client.response();
  };
  EXPECT_NE(get("/").find("<!doctype html>"), std::string::npos);
  const auto cameras = get("/api/v1/cameras");
  EXPECT_EQ(server::status_of(cameras), 200) << cameras;
  EXPECT_EQ(nlohmann::json::parse(cameras.substr(cameras.find("\r\n\r\n")))["cameras"].size(), 4U);
  EXPECT_TRUE(demo.wait_for([&] { return server::status_of(get("/health/ready")) == 200; }));
  demo.signal(SIGINT);
  EXPECT_EQ(demo.wait(std::chrono::seconds{60}), 0) << demo.err();
}

TEST(Demo, RefusesWhatItCannotPlay) {
  test::Program weather({"demo", "--weather", "snow"});
  EXPECT_EQ(weather.wait(std::chrono::seconds{30}), 2);
  EXPECT_NE(weather.err().find("snow"), std::string::npos) << weather.err();
}

}  // namespace
}  // namespace gantry

// A file that is replaced in every way that people and platforms replace files. Waits are generous where something has
// to happen and short where nothing may.
#include "cli/file_watch.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

namespace gantry::cli {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class FileWatchTest : public testing::Test {
 protected:
  FileWatchTest() {
    std::string name = (fs::temp_directory_path() / "gantry-watch-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    file = folder / "gantry.yaml";
    write(file, "one");
  }
  ~FileWatchTest() override {
    watch.reset();
    fs::remove_all(folder);
  }
  void start(std::chrono::milliseconds look_anyway = 1h) {
    watch = std::make_unique<FileWatch>(
        file, [this] { ++calls; }, FileWatchOptions{.settle = 60ms, .at_most = 2s, .look_anyway = look_anyway});
  }
  static void write(const fs::path& path, const std::string& text) { std::ofstream{path} << text; }
  static void replace(const fs::path& path, const std::string& text) {
    const fs::path beside = path.string() + ".new";
    write(beside, text);
    fs::rename(beside, path);
  }
  [[nodiscard]] bool called(int times) const {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (calls < times && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(5ms);
    std::this_thread::sleep_for(200ms);  // one too many would come now
    return calls == times;
  }

  fs::path folder, file;
  std::atomic<int> calls{0};
  std::unique_ptr<FileWatch> watch;
};

TEST_F(FileWatchTest, SeesAFileThatIsWrittenInPlace) {
  start();
  write(file, "two");
  EXPECT_TRUE(called(1)) << calls;
}

TEST_F(FileWatchTest, SeesAFileThatIsRenamedOver) {
  start();
  replace(file, "two");
  ASSERT_TRUE(called(1)) << calls;
  replace(file, "three");
  EXPECT_TRUE(called(2)) << calls;
}

TEST_F(FileWatchTest, TakesABurstForOneChange) {
  start();
  for (int i = 0; i < 20; ++i) replace(file, std::to_string(i));
  EXPECT_TRUE(called(1)) << calls;
}

TEST_F(FileWatchTest, TouchingOrWritingTheSameIsNoChange) {
  start();
  write(file, "one");
  replace(file, "one");
  EXPECT_TRUE(called(0)) << calls;
}

TEST_F(FileWatchTest, OtherFilesOfTheFolderAreNoneOfItsBusiness) {
  start();
  for (int i = 0; i < 5; ++i) replace(folder / "other", std::to_string(i));
  EXPECT_TRUE(called(0)) << calls;
}

TEST_F(FileWatchTest, AFileThatIsStillBeingWrittenIsLeftAlone) {
  start();
  std::ofstream writer{file};
  writer << "tw" << std::flush;
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(calls, 0);
  writer << "o";
  writer.close();
  EXPECT_TRUE(called(1)) << calls;
}

TEST_F(FileWatchTest, TellsOfAFileThatGoesAndComesBack) {
  start();
  fs::remove(file);
  ASSERT_TRUE(called(1)) << calls;
  write(file, "two");
  EXPECT_TRUE(called(2)) << calls;
}

/// A mounted ConfigMap: gantry.yaml -> ..data/gantry.yaml, ..data -> ..1, and ..data is swapped.
TEST_F(FileWatchTest, FollowsLinksThatAreSwapped) {
  fs::remove(file);
  for (const char* version : {"..1", "..2"}) {
    fs::create_directory(folder / version);
    write(folder / version / "gantry.yaml", version);
  }
  fs::create_directory_symlink("..1", folder / "..data");
  fs::create_symlink("..data/gantry.yaml", file);
  start();
  fs::create_directory_symlink("..2", folder / "..tmp");
  fs::rename(folder / "..tmp", folder / "..data");
  ASSERT_TRUE(called(1)) << calls;
  write(folder / "..2" / "gantry.yaml", "three");  // the folder that it leads to by now
  EXPECT_TRUE(called(2)) << calls;
}

/// As on a file system that tells nobody: the folder is replaced, so that no event comes for the file in the new one.
TEST_F(FileWatchTest, LooksByItselfWhereNoEventComes) {
  const fs::path inner = folder / "inner";
  fs::create_directory(inner);
  file = inner / "gantry.yaml";
  write(file, "one");
  start(100ms);
  fs::rename(inner, folder / "old");
  ASSERT_TRUE(called(1)) << calls;
  fs::create_directory(inner);
  write(file, "two");
  EXPECT_TRUE(called(2)) << calls;
}

}  // namespace
}  // namespace gantry::cli

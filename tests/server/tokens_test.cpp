#include "gantry/server/tokens.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "gantry/core/errors.hpp"

namespace gantry::server {
namespace {

class TokenStoreTest : public ::testing::Test {
 protected:
  TokenStoreTest() {
    std::string name = (std::filesystem::temp_directory_path() / "gantry-tokens-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    file_ = folder_ / "tokens.json";
  }
  ~TokenStoreTest() override { std::filesystem::remove_all(folder_); }
  std::string content() const {
    std::ostringstream out;
    out << std::ifstream(file_).rdbuf();
    return out.str();
  }
  std::filesystem::path folder_, file_;
};

TEST_F(TokenStoreTest, ATokenComesBackAfterARestartAndItsSecretIsNowhere) {
  std::string token;
  {
    TokenStore store(file_);
    EXPECT_TRUE(store.empty());
    token = *store.create("night shift", Role::kOperator, std::nullopt);
  }
  const std::string secret = token.substr(token.rfind('_') + 1);
  EXPECT_EQ(secret.size(), 64);
  EXPECT_EQ(content().find(secret), std::string::npos);
  struct stat mode {};
  ASSERT_EQ(::stat(file_.c_str(), &mode), 0);
  EXPECT_EQ(mode.st_mode & 0777U, 0600U);
  const TokenStore again(file_);
  const auto answer = again.authenticate(token);
  ASSERT_TRUE(answer.principal);
  EXPECT_EQ(answer.principal->name, "night shift");
  EXPECT_EQ(answer.principal->role, Role::kOperator);
}

TEST_F(TokenStoreTest, NearMissesAreUnknown) {
  TokenStore store(file_);
  const std::string token = *store.create("a", Role::kViewer, std::nullopt);
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string other = token;
    other[i] = other[i] == '0' ? '1' : '0';
    EXPECT_FALSE(store.authenticate(other).principal) << i;
  }
  EXPECT_FALSE(store.authenticate("").principal);
  EXPECT_FALSE(store.authenticate(token + "0").principal);
  EXPECT_FALSE(store.authenticate(token.substr(1)).principal);
}

TEST_F(TokenStoreTest, RevokingEndsTokenAndSessions) {
  TokenStore store(file_);
  const std::string token = *store.create("a", Role::kViewer, std::nullopt);
  const auto principal = *store.authenticate(token).principal;
  const auto session = store.open_session(principal);
  const auto by_cookie = store.session(session.cookie);
  ASSERT_TRUE(by_cookie);
  EXPECT_TRUE(store.valid(*by_cookie));
  EXPECT_TRUE(store.revoke(principal.token_id));
  EXPECT_FALSE(store.session(session.cookie));
  EXPECT_FALSE(store.valid(*by_cookie));
  EXPECT_FALSE(store.authenticate(token).principal);
  EXPECT_FALSE(store.revoke(principal.token_id));
}

TEST_F(TokenStoreTest, AnotherProcessesChangesAreSeen) {
  TokenStore server(file_);
  TokenStore command(file_);
  const std::string token = *command.create("made by the command", Role::kViewer, std::nullopt);
  EXPECT_FALSE(server.authenticate(token).principal);
  server.refresh();
  EXPECT_TRUE(server.authenticate(token).principal);
}

TEST_F(TokenStoreTest, BadInputIsNamed) {
  TokenStore store(file_);
  EXPECT_FALSE(store.create("", Role::kViewer, std::nullopt));
  EXPECT_FALSE(store.create("a", Role::kNone, std::nullopt));
  EXPECT_FALSE(store.create("a", Role::kViewer, std::chrono::seconds{0}));
  std::ofstream(file_) << "{ not json";
  try {
    TokenStore broken(file_);
    FAIL() << "read a broken file";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find(file_.string()), std::string::npos);
  }
}

TEST_F(TokenStoreTest, AFolderThatCantBeWrittenLosesNothing) {
  TokenStore store(folder_ / "missing" / "tokens.json");
  EXPECT_FALSE(store.create("a", Role::kViewer, std::nullopt));
  EXPECT_TRUE(store.empty());
}

}  // namespace
}  // namespace gantry::server

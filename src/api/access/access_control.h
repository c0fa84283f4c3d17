#pragma once
// People, sessions and tokens: who is behind a request. docs/api.md describes the rules, ADR 071
// the reasons.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/access/passwords.h"
#include "api/access/permissions.h"
#include "base/io.h"
#include "base/result.h"
#include "store/registry.h"

namespace penstock::api::access {

struct AccessOptions {
  OrganisationId organisation{1};
  std::string data_directory;  ///< gets admin.token; empty: no local administrator token
  PasswordCost cost;
  Duration session_idle_max = Duration::hours(12);
  Duration session_age_max = Duration::days(7);
  Duration link_age_max = Duration::days(7);
  uint32_t failures_max = 5;  ///< wrong passwords in a row before an account waits
  Duration lock_min = Duration::minutes(1), lock_max = Duration::minutes(15);  ///< doubling between
  uint32_t address_failures_per_minute_max = 20;  ///< wrong passwords and tokens of one address
};

struct User {
  UserId id;
  std::string name, email;
  Role role = Role::kTechnician;
  std::vector<SiteId> sites;  ///< empty: all
  bool has_password = false, disabled = false;
  Timestamp locked_until, created, last_login;
};

struct ApiToken {
  uint64_t id = 0;
  UserId user;
  std::string user_name, name;
  Role role = Role::kTechnician;
  Timestamp created, expires, last_used;
};

/// What a request shows of itself.
struct Credentials {
  std::string_view session_cookie, bearer;
  std::string_view address;
  bool loopback = false;
};

struct SignedIn {
  Principal principal;
  std::string session_token;  ///< for the cookie; only its hash is kept
};

/// Thread-safe. Everything stored is in the registry; an answer to authenticate() may be remembered
/// for some seconds, but never beyond a change made through this object.
class AccessControl {
 public:
  /// Makes its tables, and the local administrator token of this start (0600).
  /// REQUIRES: `registry`, `clock` and `random` outlive it.
  static Result<std::unique_ptr<AccessControl>> open(store::Registry& registry, Clock& clock,
                                                     Random& random, AccessOptions options);

  // -- the first administrator
  /// True while no administrator has a password.
  Result<bool> setup_required();
  /// While setup is required: a new one-time link token for an administrator (older ones end).
  /// Otherwise nothing.
  Result<std::optional<std::string>> make_setup_link();

  // -- signing in
  Result<SignedIn> claim_link(const std::string& link_token, std::string_view address);
  Result<Principal> set_password(const Principal& principal, const std::string& name,
                                 const std::string& email, const std::string& password);
  Status change_password(const Principal& principal, const std::string& current,
                         const std::string& fresh);
  /// Slow (Argon2id). kUnauthenticated, or kResourceExhausted while the account or address waits.
  Result<SignedIn> sign_in(const std::string& email, const std::string& password,
                           std::string_view address);
  Status sign_out(const Principal& principal);
  /// Who is it? kUnauthenticated when nobody.
  Result<Principal> authenticate(const Credentials& credentials);

  // -- users
  Result<std::vector<User>> users(UserId after, size_t limit);
  Result<User> user(UserId id);
  struct Invitation {
    User user;
    std::string link_token;
  };
  Result<Invitation> create_user(const std::string& name, const std::string& email, Role role,
                                 const std::vector<SiteId>& sites);
  struct UserChange {
    std::optional<std::string> name = std::nullopt;
    std::optional<Role> role = std::nullopt;
    std::optional<std::vector<SiteId>> sites = std::nullopt;
    std::optional<bool> disabled = std::nullopt;
  };
  Result<User> update_user(UserId id, const UserChange& change);
  Status delete_user(UserId id);
  Result<Invitation> make_user_link(UserId id);

  // -- API tokens
  Result<std::vector<ApiToken>> tokens(std::optional<UserId> of, uint64_t after, size_t limit);
  struct NewToken {
    ApiToken token;
    std::string secret;  ///< "pst_…", shown once
  };
  Result<NewToken> create_token(const Principal& principal, const std::string& name, Role role,
                                Timestamp expires);
  /// `of`: only if it is theirs.
  Status delete_token(uint64_t id, std::optional<UserId> of);

 private:
  AccessControl(store::Registry& registry, Clock& clock, Random& random, AccessOptions options);
  Status write_local_token();
  Result<std::string> make_link(store::Session& session, UserId user);
  Result<SignedIn> start_session(store::Session& session, const User& user, bool password_required);
  Result<Principal> by_session(std::string_view token);
  Result<Principal> by_token(std::string_view token);
  Result<Principal> remember(std::string hash, Result<Principal> found);
  void forget();  ///< after any change
  bool address_waits(std::string_view address);
  void count_failure(std::string_view address);
  Status note_wrong_password(UserId user, int64_t failures);
  Principal principal_of(const User& user) const;

  struct Remembered {
    Principal principal;
    int64_t until_us = 0;  ///< monotonic
  };
  struct Failures {
    double tokens = 0;
    int64_t at_us = 0;
  };
  store::Registry& registry_;
  Clock& clock_;
  Random& random_;
  const AccessOptions options_;
  std::string local_token_hash_;
  std::mutex mutex_;
  uint64_t generation_ = 0;
  std::unordered_map<std::string, Remembered> remembered_;
  std::unordered_map<std::string, Failures> failures_;
};

/// SHA-256 in hexadecimal: how random secrets are kept.
std::string secret_hash(std::string_view secret);
/// Compares in time that does not depend on where they differ.
bool equal_secrets(std::string_view a, std::string_view b);
/// What X-CSRF-Token must be in a session of this token.
std::string csrf_of(std::string_view session_token);

}  // namespace penstock::api::access

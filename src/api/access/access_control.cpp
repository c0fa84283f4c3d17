#include "api/access/access_control.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

namespace penstock::api::access {
namespace {

using store::Session;

constexpr std::array<store::Migration, 1> kMigrations{{{1, "people",
                                                        R"sql(
CREATE TABLE access_user (
  organisation_id INTEGER NOT NULL, id INTEGER NOT NULL PRIMARY KEY,
  name TEXT NOT NULL, email TEXT UNIQUE, role TEXT NOT NULL, password_hash TEXT NOT NULL,
  disabled INTEGER NOT NULL, failures INTEGER NOT NULL, locked_until BIGINT NOT NULL,
  created_at BIGINT NOT NULL, last_login_at BIGINT NOT NULL);
CREATE TABLE access_user_site (
  organisation_id INTEGER NOT NULL, user_id INTEGER NOT NULL, site_id INTEGER NOT NULL,
  PRIMARY KEY (user_id, site_id));
CREATE TABLE access_session (
  organisation_id INTEGER NOT NULL, id BIGINT NOT NULL PRIMARY KEY, user_id INTEGER NOT NULL,
  token_hash TEXT NOT NULL UNIQUE, password_required INTEGER NOT NULL,
  created_at BIGINT NOT NULL, used_at BIGINT NOT NULL);
CREATE INDEX access_session_user ON access_session (user_id);
CREATE TABLE access_token (
  organisation_id INTEGER NOT NULL, id BIGINT NOT NULL PRIMARY KEY, user_id INTEGER NOT NULL,
  name TEXT NOT NULL, role TEXT NOT NULL, token_hash TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, used_at BIGINT NOT NULL);
CREATE INDEX access_token_user ON access_token (user_id);
CREATE TABLE access_link (
  organisation_id INTEGER NOT NULL, token_hash TEXT NOT NULL PRIMARY KEY, user_id INTEGER NOT NULL,
  expires_at BIGINT NOT NULL);
)sql"}}};

constexpr std::string_view kUserColumns =
    "SELECT id, name, email, role, password_hash, disabled, locked_until, created_at, "
    "last_login_at "
    "FROM access_user ";
constexpr int64_t kRememberUs = 5'000'000;
constexpr int64_t kNoteUseEveryUs =
    60'000'000;  ///< last_used need not be exact; a write a request would cost

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

tl::unexpected<Error> nobody(std::string message) {
  return fail(ErrorCode::kUnauthenticated, std::move(message));
}

/// The users a WHERE clause picks, with their sites.
template <class... Args>
Result<std::vector<User>> read_users(Session& session, std::string_view where,
                                     const Args&... args) {
  std::vector<User> users;
  TRY((session.each<UserId, std::string, std::string, std::string, std::string, bool, Timestamp,
                    Timestamp, Timestamp>(
      [&](UserId id, std::string name, std::string email, const std::string& role,
          const std::string& hash, bool disabled, Timestamp locked, Timestamp created,
          Timestamp login) {
        User user;
        user.id = id;
        user.name = std::move(name);
        user.email = std::move(email);
        user.role = parse_role(role).value_or(Role::kTechnician);
        user.has_password = !hash.empty();
        user.disabled = disabled;
        user.locked_until = locked;
        user.created = created;
        user.last_login = login;
        users.push_back(std::move(user));
      },
      std::string(kUserColumns) + std::string(where), args...)));
  for (User& user : users)
    TRY((session.each<SiteId>(
        [&](SiteId site) { user.sites.push_back(site); },
        "SELECT site_id FROM access_user_site WHERE user_id = ? ORDER BY site_id", user.id)));
  return users;
}

Result<User> read_user(Session& session, UserId id) {
  TRY_ASSIGN(auto users, read_users(session, "WHERE id = ?", id));
  if (users.empty()) return fail(ErrorCode::kNotFound, "there is no such user");
  return std::move(users.front());
}

Status replace_sites(Session& session, OrganisationId organisation, UserId user,
                     const std::vector<SiteId>& sites) {
  TRY(session.run("DELETE FROM access_user_site WHERE user_id = ?", user));
  for (const SiteId site : sites)
    TRY(session.run(
        "INSERT INTO access_user_site (organisation_id, user_id, site_id) VALUES (?, ?, ?)",
        organisation, user, site));
  return {};
}

/// Refuses what would leave nobody who may manage users.
Status keep_an_administrator(Session& session, UserId without) {
  TRY_ASSIGN(const auto row, (session.query_one<int64_t>(
                                 "SELECT COUNT(*) FROM access_user WHERE role = 'administrator' "
                                 "AND password_hash <> '' AND disabled = 0 AND id <> ?",
                                 without)));
  if (row && std::get<0>(*row) > 0) return {};
  return fail(ErrorCode::kConflict, "this is the last administrator; make another one first");
}

Status check_email(std::string_view email) {
  const auto at = email.find('@');
  const bool plain = std::none_of(email.begin(), email.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '<' || c == '>' || c == '"';
  });
  if (at == std::string_view::npos || at == 0 || at + 1 >= email.size() || email.size() > 254 ||
      !plain || email.find('@', at + 1) != std::string_view::npos)
    return fail(ErrorCode::kInvalidArgument, "that is not an email address", "email");
  return {};
}

}  // namespace

std::string secret_hash(std::string_view secret) {
  unsigned char hash[crypto_hash_sha256_BYTES];
  crypto_hash_sha256(hash, reinterpret_cast<const unsigned char*>(secret.data()), secret.size());
  char hex[2 * sizeof hash + 1];
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  return hex;
}

bool equal_secrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string csrf_of(std::string_view session_token) {
  return secret_hash("csrf:" + std::string(session_token)).substr(0, 40);
}

AccessControl::AccessControl(store::Registry& registry, Clock& clock, Random& random,
                             AccessOptions options)
    : registry_(registry), clock_(clock), random_(random), options_(std::move(options)) {}

Result<std::unique_ptr<AccessControl>> AccessControl::open(store::Registry& registry, Clock& clock,
                                                           Random& random, AccessOptions options) {
  CHECK(sodium_init() >= 0);
  TRY(registry.migrate("access", kMigrations));
  std::unique_ptr<AccessControl> access(
      new AccessControl(registry, clock, random, std::move(options)));
  if (!access->options_.data_directory.empty()) TRY(access->write_local_token());
  const Timestamp now = clock.now();
  const Status swept = registry.write([&](Session& session) -> Status {
    TRY(session.run("DELETE FROM access_session WHERE used_at < ? OR created_at < ?",
                    now - access->options_.session_idle_max,
                    now - access->options_.session_age_max));
    TRY(session.run("DELETE FROM access_link WHERE expires_at < ?", now));
    return {};
  });
  TRY(swept);
  return access;
}

Status AccessControl::write_local_token() {
  const std::string token = "pst_" + random_.hex(32);
  const std::string path = options_.data_directory + "/admin.token", fresh = path + ".new";
  ::unlink(fresh.c_str());
  // Not through FileSystem: the file must never be readable by others, not even for a moment.
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return fail(ErrorCode::kIo, std::string("cannot write: ") + std::strerror(errno), fresh);
  const std::string line = token + "\n";
  const bool written = ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  ::close(fd);
  if (!written || ::rename(fresh.c_str(), path.c_str()) != 0)
    return fail(ErrorCode::kIo, std::string("cannot write: ") + std::strerror(errno), path);
  local_token_hash_ = secret_hash(token);
  return {};
}

// -- the first administrator

Result<bool> AccessControl::setup_required() {
  return registry_.read([](Session& session) -> Result<bool> {
    TRY_ASSIGN(const auto row,
               (session.query_one<int64_t>("SELECT COUNT(*) FROM access_user WHERE role = "
                                           "'administrator' AND password_hash <> ''")));
    return !row || std::get<0>(*row) == 0;
  });
}

Result<std::optional<std::string>> AccessControl::make_setup_link() {
  TRY_ASSIGN(const bool required, setup_required());
  if (!required) return std::optional<std::string>{};
  auto link = registry_.write([&](Session& session) -> Result<std::string> {
    TRY_ASSIGN(auto pending, read_users(session, "WHERE role = 'administrator' AND email IS NULL"));
    UserId id;
    if (pending.empty()) {
      TRY_ASSIGN(const int64_t number, session.next_id("access_user"));
      id = UserId(static_cast<uint32_t>(number));
      TRY(session.run(
          "INSERT INTO access_user (organisation_id, id, name, email, role, password_hash, "
          "disabled, failures, locked_until, created_at, last_login_at) "
          "VALUES (?, ?, '', NULL, 'administrator', '', 0, 0, 0, ?, 0)",
          options_.organisation, id, clock_.now()));
    } else {
      id = pending.front().id;
    }
    return make_link(session, id);
  });
  if (!link) return fail(link.error());
  return std::optional(std::move(*link));
}

Result<std::string> AccessControl::make_link(Session& session, UserId user) {
  std::string token = random_.hex(32);
  TRY(session.run("DELETE FROM access_link WHERE user_id = ?", user));
  TRY(session.run(
      "INSERT INTO access_link (organisation_id, token_hash, user_id, expires_at) "
      "VALUES (?, ?, ?, ?)",
      options_.organisation, secret_hash(token), user, clock_.now() + options_.link_age_max));
  return token;
}

// -- signing in

Principal AccessControl::principal_of(const User& user) const {
  Principal principal;
  principal.organisation = options_.organisation;
  principal.user = user.id;
  principal.name = user.name;
  principal.email = user.email;
  principal.role = user.role;
  principal.sites = user.sites;
  return principal;
}

Result<SignedIn> AccessControl::start_session(Session& session, const User& user,
                                              bool password_required) {
  SignedIn in;
  in.session_token = random_.hex(32);
  const Timestamp now = clock_.now();
  TRY_ASSIGN(const int64_t id, session.next_id("access_session"));
  TRY(
      session.run("INSERT INTO access_session (organisation_id, id, user_id, token_hash, "
                  "password_required, created_at, used_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                  options_.organisation, id, user.id, secret_hash(in.session_token),
                  password_required ? 1 : 0, now, now));
  TRY(session.run(
      "UPDATE access_user SET last_login_at = ?, failures = 0, locked_until = 0 WHERE id = ?", now,
      user.id));
  in.principal = principal_of(user);
  in.principal.credential = static_cast<uint64_t>(id);
  in.principal.csrf = csrf_of(in.session_token);
  in.principal.expires = now + options_.session_age_max;
  in.principal.password_required = password_required;
  return in;
}

Result<SignedIn> AccessControl::claim_link(const std::string& link_token,
                                           std::string_view address) {
  if (address_waits(address))
    return fail(ErrorCode::kResourceExhausted,
                "too many attempts from this address; wait a minute");
  auto claimed = registry_.write([&](Session& session) -> Result<SignedIn> {
    const std::string hash = secret_hash(link_token);
    TRY_ASSIGN(const auto row,
               (session.query_one<UserId, Timestamp>(
                   "SELECT user_id, expires_at FROM access_link WHERE token_hash = ?", hash)));
    if (!row || std::get<1>(*row) < clock_.now())
      return nobody(
          "this link is used up or too old; while no administrator has a password, each start of "
          "the server prints a new one, otherwise ask an administrator");
    TRY(session.run("DELETE FROM access_link WHERE token_hash = ?", hash));
    TRY_ASSIGN(const User user, read_user(session, std::get<0>(*row)));
    if (user.disabled) return nobody("this account is disabled");
    return start_session(session, user, true);
  });
  if (!claimed && claimed.error().code == ErrorCode::kUnauthenticated) count_failure(address);
  forget();
  return claimed;
}

Result<Principal> AccessControl::set_password(const Principal& principal, const std::string& name,
                                              const std::string& email,
                                              const std::string& password) {
  if (!principal.password_required)
    return fail(ErrorCode::kPermissionDenied,
                "this session did not come by a one-time link; change the "
                "password with POST /session/password");
  TRY(check_email(email));
  TRY(check_password(password, name, email));
  TRY_ASSIGN(const std::string hash, hash_password(password, options_.cost));
  auto done = registry_.write([&](Session& session) -> Result<Principal> {
    TRY_ASSIGN(const User before, read_user(session, principal.user));
    if (!before.email.empty() && before.email != lower(email))
      return fail(ErrorCode::kInvalidArgument, "the account belongs to another email address",
                  "email");
    TRY(session.run("UPDATE access_user SET name = ?, email = ?, password_hash = ? WHERE id = ?",
                    name, lower(email), hash, principal.user));
    // Whoever knew the old password is out.
    TRY(session.run("DELETE FROM access_session WHERE user_id = ? AND id <> ?", principal.user,
                    principal.credential));
    TRY(session.run("UPDATE access_session SET password_required = 0 WHERE id = ?",
                    principal.credential));
    TRY_ASSIGN(const User user, read_user(session, principal.user));
    Principal now = principal_of(user);
    now.kind = principal.kind;
    now.credential = principal.credential;
    now.csrf = principal.csrf;
    now.expires = principal.expires;
    return now;
  });
  forget();
  if (!done && done.error().code == ErrorCode::kAlreadyExists)
    return fail(ErrorCode::kAlreadyExists, "another account has this email address", "email");
  return done;
}

Status AccessControl::change_password(const Principal& principal, const std::string& current,
                                      const std::string& fresh) {
  TRY(check_password(fresh, principal.name, principal.email));
  TRY_ASSIGN(const auto row, registry_.read([&](Session& session) {
    return session.query_one<std::string>("SELECT password_hash FROM access_user WHERE id = ?",
                                          principal.user);
  }));
  if (!verify_password(row ? std::get<0>(*row) : std::string(), current, options_.cost))
    return fail(ErrorCode::kPermissionDenied, "the current password is wrong", "current_password");
  TRY_ASSIGN(const std::string hash, hash_password(fresh, options_.cost));
  const Status done = registry_.write([&](Session& session) -> Status {
    TRY(session.run("UPDATE access_user SET password_hash = ? WHERE id = ?", hash, principal.user));
    TRY(session.run("DELETE FROM access_session WHERE user_id = ? AND id <> ?", principal.user,
                    principal.kind == Principal::Kind::kSession ? principal.credential : 0));
    return {};
  });
  forget();
  return done;
}

Result<SignedIn> AccessControl::sign_in(const std::string& email, const std::string& password,
                                        std::string_view address) {
  const std::string account = lower(email);
  if (address_waits(address))
    return fail(ErrorCode::kResourceExhausted,
                "too many attempts from this address; wait a minute");
  struct Row {
    User user;
    std::string hash;
    int64_t failures = 0;
  };
  TRY_ASSIGN(const Row row, registry_.read([&](Session& session) -> Result<Row> {
    Row found;
    TRY_ASSIGN(auto users, read_users(session, "WHERE email = ?", account));
    if (users.empty()) return found;
    found.user = std::move(users.front());
    TRY_ASSIGN(const auto secret,
               (session.query_one<std::string, int64_t>(
                   "SELECT password_hash, failures FROM access_user WHERE id = ?", found.user.id)));
    if (secret) std::tie(found.hash, found.failures) = *secret;
    return found;
  }));
  if (row.user.locked_until > clock_.now())
    return fail(
        ErrorCode::kResourceExhausted,
        "too many wrong passwords for this account; it opens again by itself in some minutes");
  const bool right = verify_password(row.hash, password, options_.cost);
  if (!right || row.user.disabled) {
    count_failure(address);
    if (row.user.id) TRY(note_wrong_password(row.user.id, row.failures + 1));
    return nobody("email or password is wrong");
  }
  auto in =
      registry_.write([&](Session& session) { return start_session(session, row.user, false); });
  forget();
  return in;
}

Status AccessControl::note_wrong_password(UserId user, int64_t failures) {
  Timestamp locked_until;
  if (failures >= options_.failures_max) {
    const int doublings = static_cast<int>(std::min<int64_t>(failures - options_.failures_max, 10));
    const Duration wait{std::min(options_.lock_max.us, options_.lock_min.us << doublings)};
    locked_until = clock_.now() + wait;
    log_warning("access", "user {} is locked for {} s after {} wrong passwords", user.value,
                wait.us / 1'000'000, failures);
  }
  const Status stored = registry_.write([&](Session& session) -> Status {
    // The count is raised where it is stored: attempts side by side must not hide each other.
    TRY(session.run("UPDATE access_user SET failures = failures + 1, locked_until = ? WHERE id = ?",
                    locked_until, user));
    return {};
  });
  return stored;
}

Status AccessControl::sign_out(const Principal& principal) {
  if (principal.kind != Principal::Kind::kSession) return {};
  const Status done = registry_.write([&](Session& session) -> Status {
    TRY(session.run("DELETE FROM access_session WHERE id = ?", principal.credential));
    return {};
  });
  forget();
  return done;
}

Result<Principal> AccessControl::authenticate(const Credentials& credentials) {
  const bool bearer = !credentials.bearer.empty();
  const std::string_view secret = bearer ? credentials.bearer : credentials.session_cookie;
  if (secret.empty()) return nobody("sign in first");
  if (secret.size() > 200) return nobody("that is no token of ours");
  std::string hash = secret_hash((bearer ? "b:" : "c:") + std::string(secret));
  uint64_t generation;
  {
    const std::lock_guard lock(mutex_);
    generation = generation_;
    const auto found = remembered_.find(hash);
    if (found != remembered_.end() && found->second.until_us > clock_.monotonic_us() &&
        (found->second.principal.expires.us == 0 || found->second.principal.expires > clock_.now()))
      return found->second.principal;
  }
  if (bearer && credentials.loopback && !local_token_hash_.empty() &&
      equal_secrets(secret_hash(secret), local_token_hash_)) {
    Principal local;
    local.kind = Principal::Kind::kLocalAdministrator;
    local.organisation = options_.organisation;
    local.name = "local administrator";
    local.role = Role::kAdministrator;
    return local;
  }
  if (address_waits(credentials.address))
    return fail(ErrorCode::kResourceExhausted,
                "too many attempts from this address; wait a minute");
  auto found = bearer ? by_token(secret) : by_session(secret);
  if (!found) {
    // A stale cookie is no attack; a token that is none may be.
    if (bearer && found.error().code == ErrorCode::kUnauthenticated)
      count_failure(credentials.address);
    return found;
  }
  const std::lock_guard lock(mutex_);
  if (generation == generation_) {
    if (remembered_.size() > 10'000) remembered_.clear();
    remembered_[std::move(hash)] = {*found, clock_.monotonic_us() + kRememberUs};
  }
  return found;
}

Result<Principal> AccessControl::by_session(std::string_view token) {
  const std::string hash = secret_hash(token);
  const Timestamp now = clock_.now();
  bool note_use = false;
  TRY_ASSIGN(Principal principal, registry_.read([&](Session& session) -> Result<Principal> {
    TRY_ASSIGN(const auto row,
               (session.query_one<uint64_t, UserId, bool, Timestamp, Timestamp>(
                   "SELECT id, user_id, password_required, created_at, used_at FROM access_session "
                   "WHERE token_hash = ?",
                   hash)));
    if (!row) return nobody("the session has ended; sign in again");
    const auto& [id, user_id, password_required, created, used] = *row;
    if (now > used + options_.session_idle_max || now > created + options_.session_age_max)
      return nobody("the session has ended; sign in again");
    TRY_ASSIGN(const User user, read_user(session, user_id));
    if (user.disabled) return nobody("this account is disabled");
    Principal found = principal_of(user);
    found.kind = Principal::Kind::kSession;
    found.credential = id;
    found.csrf = csrf_of(token);
    found.expires = created + options_.session_age_max;
    found.password_required = password_required;
    note_use = (now - used).us > kNoteUseEveryUs;
    return found;
  }));
  if (!note_use) return principal;
  const Status noted = registry_.write([&](Session& session) -> Status {
    TRY(session.run("UPDATE access_session SET used_at = ? WHERE id = ?", now,
                    principal.credential));
    return {};
  });
  TRY(noted);
  return principal;
}

Result<Principal> AccessControl::by_token(std::string_view token) {
  const std::string hash = secret_hash(token);
  const Timestamp now = clock_.now();
  bool note_use = false;
  TRY_ASSIGN(Principal principal, registry_.read([&](Session& session) -> Result<Principal> {
    TRY_ASSIGN(
        const auto row,
        (session.query_one<uint64_t, UserId, std::string, Timestamp, Timestamp>(
            "SELECT id, user_id, role, expires_at, used_at FROM access_token WHERE token_hash = ?",
            hash)));
    if (!row) return nobody("this token is unknown or revoked");
    const auto& [id, user_id, role, expires, used] = *row;
    if (expires.us != 0 && now > expires) return nobody("this token has expired");
    Principal found;
    found.organisation = options_.organisation;
    if (user_id) {
      TRY_ASSIGN(const User user, read_user(session, user_id));
      if (user.disabled) return nobody("this account is disabled");
      found = principal_of(user);
      // A token never does more than its owner may today.
      if (found.role != Role::kAdministrator && parse_role(role) != found.role)
        return nobody("the owner's role has changed; make a new token");
    } else {
      found.name = "token";
    }
    found.kind = Principal::Kind::kToken;
    found.role = parse_role(role).value_or(Role::kTechnician);
    found.credential = id;
    found.expires = expires;
    note_use = (now - used).us > kNoteUseEveryUs;
    return found;
  }));
  if (!note_use) return principal;
  const Status noted = registry_.write([&](Session& session) -> Status {
    TRY(session.run("UPDATE access_token SET used_at = ? WHERE id = ?", now, principal.credential));
    return {};
  });
  TRY(noted);
  return principal;
}

void AccessControl::forget() {
  const std::lock_guard lock(mutex_);
  ++generation_;
  remembered_.clear();
}

bool AccessControl::address_waits(std::string_view address) {
  const std::lock_guard lock(mutex_);
  const auto found = failures_.find(std::string(address));
  if (found == failures_.end()) return false;
  Failures& failures = found->second;
  const double rate_per_us = options_.address_failures_per_minute_max / 60e6;
  const int64_t now = clock_.monotonic_us();
  failures.tokens =
      std::max(0.0, failures.tokens - static_cast<double>(now - failures.at_us) * rate_per_us);
  failures.at_us = now;
  return failures.tokens >= options_.address_failures_per_minute_max;
}

void AccessControl::count_failure(std::string_view address) {
  const std::lock_guard lock(mutex_);
  if (failures_.size() > 10'000) failures_.clear();
  Failures& failures = failures_[std::string(address)];
  failures.tokens += 1;
  if (failures.at_us == 0) failures.at_us = clock_.monotonic_us();
}

// -- users

Result<std::vector<User>> AccessControl::users(UserId after, size_t limit) {
  return registry_.read([&](Session& session) {
    return read_users(session, "WHERE id > ? ORDER BY id LIMIT ?", after, limit);
  });
}

Result<User> AccessControl::user(UserId id) {
  return registry_.read([&](Session& session) { return read_user(session, id); });
}

Result<AccessControl::Invitation> AccessControl::create_user(const std::string& name,
                                                             const std::string& email, Role role,
                                                             const std::vector<SiteId>& sites) {
  TRY(check_email(email));
  auto made = registry_.write([&](Session& session) -> Result<Invitation> {
    TRY_ASSIGN(const int64_t number, session.next_id("access_user"));
    const UserId id(static_cast<uint32_t>(number));
    TRY(session.run(
        "INSERT INTO access_user (organisation_id, id, name, email, role, password_hash, "
        "disabled, failures, locked_until, created_at, last_login_at) "
        "VALUES (?, ?, ?, ?, ?, '', 0, 0, 0, ?, 0)",
        options_.organisation, id, name, lower(email), access::name(role), clock_.now()));
    TRY(replace_sites(session, options_.organisation, id, sites));
    Invitation invitation;
    TRY_ASSIGN(invitation.user, read_user(session, id));
    TRY_ASSIGN(invitation.link_token, make_link(session, id));
    return invitation;
  });
  if (!made && made.error().code == ErrorCode::kAlreadyExists)
    return fail(ErrorCode::kAlreadyExists, "another account has this email address", "email");
  return made;
}

Result<User> AccessControl::update_user(UserId id, const UserChange& change) {
  auto done = registry_.write([&](Session& session) -> Result<User> {
    TRY_ASSIGN(const User before, read_user(session, id));
    const bool loses = (change.role && *change.role != Role::kAdministrator) ||
                       (change.disabled && *change.disabled);
    if (before.role == Role::kAdministrator && loses) TRY(keep_an_administrator(session, id));
    if (change.name)
      TRY(session.run("UPDATE access_user SET name = ? WHERE id = ?", *change.name, id));
    if (change.role)
      TRY(session.run("UPDATE access_user SET role = ? WHERE id = ?", access::name(*change.role),
                      id));
    if (change.sites) TRY(replace_sites(session, options_.organisation, id, *change.sites));
    if (change.disabled) {
      TRY(session.run("UPDATE access_user SET disabled = ? WHERE id = ?", *change.disabled ? 1 : 0,
                      id));
      if (*change.disabled) TRY(session.run("DELETE FROM access_session WHERE user_id = ?", id));
    }
    return read_user(session, id);
  });
  forget();
  return done;
}

Status AccessControl::delete_user(UserId id) {
  const Status done = registry_.write([&](Session& session) -> Status {
    TRY_ASSIGN(const User before, read_user(session, id));
    if (before.role == Role::kAdministrator) TRY(keep_an_administrator(session, id));
    for (const std::string_view table :
         {"access_session", "access_token", "access_link", "access_user_site"})
      TRY(session.run("DELETE FROM " + std::string(table) + " WHERE user_id = ?", id));
    TRY(session.run("DELETE FROM access_user WHERE id = ?", id));
    return {};
  });
  forget();
  return done;
}

Result<AccessControl::Invitation> AccessControl::make_user_link(UserId id) {
  return registry_.write([&](Session& session) -> Result<Invitation> {
    Invitation invitation;
    TRY_ASSIGN(invitation.user, read_user(session, id));
    TRY_ASSIGN(invitation.link_token, make_link(session, id));
    return invitation;
  });
}

// -- API tokens

Result<std::vector<ApiToken>> AccessControl::tokens(std::optional<UserId> of, uint64_t after,
                                                    size_t limit) {
  return registry_.read([&](Session& session) -> Result<std::vector<ApiToken>> {
    std::vector<ApiToken> out;
    TRY((session.each<uint64_t, UserId, std::string, std::string, std::string, Timestamp, Timestamp,
                      Timestamp>(
        [&](uint64_t id, UserId user, std::string user_name, std::string name,
            const std::string& role, Timestamp created, Timestamp expires, Timestamp used) {
          out.push_back({id, user, std::move(user_name), std::move(name),
                         parse_role(role).value_or(Role::kTechnician), created, expires, used});
        },
        "SELECT t.id, t.user_id, u.name, t.name, t.role, t.created_at, t.expires_at, t.used_at "
        "FROM access_token t LEFT JOIN access_user u ON u.id = t.user_id "
        "WHERE t.id > ? AND (? = 0 OR t.user_id = ?) ORDER BY t.id LIMIT ?",
        after, of ? 1 : 0, of.value_or(UserId()), limit)));
    return out;
  });
}

Result<AccessControl::NewToken> AccessControl::create_token(const Principal& principal,
                                                            const std::string& name, Role role,
                                                            Timestamp expires) {
  if (principal.role != Role::kAdministrator && role != principal.role)
    return fail(ErrorCode::kPermissionDenied, "a token has the role of its owner", "role");
  NewToken made;
  made.secret = "pst_" + random_.hex(32);
  made.token.user = principal.user;
  made.token.user_name = principal.name;
  made.token.name = name;
  made.token.role = role;
  made.token.created = clock_.now();
  made.token.expires = expires;
  const Status stored = registry_.write([&](Session& session) -> Status {
    TRY_ASSIGN(const int64_t id, session.next_id("access_token"));
    made.token.id = static_cast<uint64_t>(id);
    TRY(session.run(
        "INSERT INTO access_token (organisation_id, id, user_id, name, role, token_hash, "
        "created_at, expires_at, used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
        options_.organisation, id, principal.user, name, access::name(role),
        secret_hash(made.secret), made.token.created, expires));
    return {};
  });
  TRY(stored);
  return made;
}

Status AccessControl::delete_token(uint64_t id, std::optional<UserId> of) {
  TRY_ASSIGN(const int64_t gone, registry_.write([&](Session& session) {
    return session.run("DELETE FROM access_token WHERE id = ? AND (? = 0 OR user_id = ?)", id,
                       of ? 1 : 0, of.value_or(UserId()));
  }));
  forget();
  if (gone == 0) return fail(ErrorCode::kNotFound, "there is no such token");
  return {};
}

}  // namespace penstock::api::access

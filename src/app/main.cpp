#include <fmt/format.h>

#include "app/cli/cli.h"
#include "app/cli/lwm2m.h"
#include "app/cli/opcua.h"
#include "app/cli/sparkplug.h"
#include "app/version.h"

int main(int argc, char** argv) {
  using namespace penstock::app;
  CLI::App root{"Penstock: from an AIoT pilot to a governed fleet"};
  root.require_subcommand(1);
  root.set_version_flag("--version", kVersion);
  cli::add_serve(root);
  cli::add_doctor(root);
  cli::add_site(root);
  cli::add_opcua(root);
  cli::add_sparkplug(root);
  cli::add_device(root);
  cli::add_model(root);
  cli::add_rule(root);
  cli::add_alarm(root);
  cli::add_query(root);
  cli::add_journal(root);
  cli::add_lwm2m(root);
  cli::add_replay(root);
  cli::add_simulate(root);
  cli::add_detect(root);
  cli::add_bench(root);
  cli::add_binding(root);
  cli::add_bridge(root);
  cli::add_completion(root);
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // CLI11's way to say so
    if (root.exit(error) == 0) return 0;
    if (const auto hint = cli::did_you_mean(root, {argv + 1, argv + argc}); !hint.empty())
      fmt::print(stderr, "{}\n", hint);
    return 2;
  }
  return cli::exit_code;
}

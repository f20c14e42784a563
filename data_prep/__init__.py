"""From downloads, or from nothing, to folders that scmlib reads. Uses scmlib; scmlib never imports it."""

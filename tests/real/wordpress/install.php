<?php
// Installs WordPress in the folder given, as its own installer does.
define('WP_INSTALLING', true);
$_SERVER['HTTP_HOST'] = '127.0.0.1';
$_SERVER['REQUEST_URI'] = '/';
function wp_mail() { return true; }  // the welcome to the administrator
require $argv[1] . '/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
require_once ABSPATH . 'wp-admin/includes/plugin.php';
wp_install('The Example Post', 'desk', 'desk@example.com', true, '', 'not-a-secret');
update_option('timezone_string', 'Europe/Warsaw');
update_option('permalink_structure', '/%year%/%postname%/');
update_option('template', 'bare');
update_option('stylesheet', 'bare');
wp_update_user(['ID' => 1, 'display_name' => 'Anna Nowak']);
foreach (get_posts(['numberposts' => -1, 'post_type' => ['post', 'page']]) as $sample) {
    wp_delete_post($sample->ID, true);
}
create_popular_posts_tables();
if (is_wp_error($error = activate_plugin('digest-newsletter/digest-newsletter.php'))) {
    fwrite(STDERR, $error->get_error_message());
    exit(1);
}
flush_rewrite_rules(true);

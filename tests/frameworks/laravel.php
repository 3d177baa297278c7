<?php
// Asks Laravel's own reader of Vite's manifest for the elements of two entries. The two functions stand for those of an application:
// everything under `public/` is served as it is.

[, $php, $public] = $argv;

spl_autoload_register(function ($class) use ($php) {
    $path = str_replace('\\', '/', substr($class, strlen('Illuminate/')));
    $last = basename($path);
    foreach (["$path.php", "Collections/$last.php", "Collections/Traits/$last.php", "Macroable/Traits/$last.php", "Conditionable/Traits/$last.php"] as $file) {
        if (is_file("$php/Illuminate/$file")) {
            require "$php/Illuminate/$file";
            return;
        }
    }
});
// As Laravel does: a notice is an error.
set_error_handler(fn ($level, $message, $file, $line) => throw new ErrorException($message, 0, $level, $file, $line), E_ALL & ~E_DEPRECATED);

function public_path($path = '')
{
    return $GLOBALS['public'].'/'.$path;
}

function asset($path, $secure = null)
{
    return '/'.$path;
}

require "$php/Illuminate/Collections/helpers.php";

$vite = new Illuminate\Foundation\Vite;
echo '<script src="', $vite->asset('js/import-map.js'), "\"></script>\n";
echo $vite(['assets/js/app.ts', 'assets/css/main.css', 'js/both.js']), "\n";
echo $vite->asset('assets/img/dot.svg'), "\n";
